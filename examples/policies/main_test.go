package main

import (
	"testing"

	"strongroom.example/examples/internal/demotest"
)

func TestRun(t *testing.T) { demotest.Example{Run: run, Output: []string{output}}.Test(t) }

const output = `olga     disables without a reason denied
olga     disables for CHG-2       allowed
olga     encrypts                 denied
olga     decrypts                 denied
olga     describes the key        denied
billing  disables without a reason denied
billing  disables for CHG-2       denied
billing  encrypts                 allowed
billing  decrypts                 denied
billing  describes the key        denied
arthur   disables without a reason denied
arthur   disables for CHG-2       denied
arthur   encrypts                 denied
arthur   decrypts                 denied
arthur   describes the key        allowed

refused, by the audit log:
olga     DisableKey
olga     Encrypt
olga     Decrypt
olga     DescribeKey
billing  DisableKey
billing  DisableKey
billing  Decrypt
billing  DescribeKey
arthur   DisableKey
arthur   DisableKey
arthur   Encrypt
arthur   Decrypt

why billing may not encrypt without a tenant:
policy billing-encrypts (line 6, column 1) does not apply: when { resource.alias == "invoices" && context.encryptionContext.hasTag("tenant") } does not hold
no policy permits Encrypt to "billing"
`
