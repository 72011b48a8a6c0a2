// The part of the PKCS #11 v2.40 interface (OASIS standard, pkcs11-base) that the driver
// uses: names and layouts for the calls that carry secrets. On Unix, structures have their
// natural alignment.
#ifndef STRONGROOM_CRYPTOKI_H
#define STRONGROOM_CRYPTOKI_H

typedef unsigned long ck_ulong;
typedef ck_ulong ck_rv;
typedef unsigned char ck_byte;

typedef struct {
	ck_ulong type;
	const void *parameter;
	ck_ulong parameter_len;
} ck_mechanism;

typedef struct {
	ck_ulong type;
	const void *value;
	ck_ulong value_len;
} ck_attribute;

typedef ck_rv (*ck_init)(ck_ulong session, ck_mechanism *mechanism, ck_ulong key);
typedef ck_rv (*ck_one_call)(ck_ulong session, const ck_byte *in, ck_ulong in_len, ck_byte *out, ck_ulong *out_len);

// The function list. The standard fixes its order; arrays stand for the functions that are
// not called here.
typedef struct {
	ck_byte version[2];
	void *before_login[18]; // C_Initialize ... C_SetOperationState
	ck_rv (*login)(ck_ulong session, ck_ulong user, const ck_byte *pin, ck_ulong pin_len);
	void *logout;
	ck_rv (*create_object)(ck_ulong session, const ck_attribute *template, ck_ulong count, ck_ulong *object);
	void *before_decrypt[12]; // C_CopyObject ... C_EncryptFinal
	ck_init decrypt_init;
	ck_one_call decrypt;
	void *before_sign[7]; // C_DecryptUpdate ... C_DigestFinal
	ck_init sign_init;
	ck_one_call sign;
	void *before_random[20]; // C_SignUpdate ... C_SeedRandom
	ck_rv (*generate_random)(ck_ulong session, ck_byte *out, ck_ulong len);
} ck_functions;

// Operations of ck_operate.
enum { ck_op_sign, ck_op_decrypt };

// A cell is the position of an attribute's value in a buffer.
typedef struct {
	ck_ulong type, offset, len;
} ck_cell;

#define CK_MAX_ATTRIBUTES 40

// ck_load opens a module and returns the system's handle of it, which is the same for
// every path to one file, or a reason in *error. The module is never unloaded.
// C_GetFunctionList is not called here: see functions in cryptoki.go.
void *ck_load(const char *path, const char **error);

// Each call returns the token's own code. *failed_init says whether it was the
// initialising call that failed.
ck_rv ck_operate(ck_functions *f, int op, ck_ulong session, ck_ulong key, ck_ulong type, const void *parameter,
	ck_ulong parameter_len, const ck_byte *in, ck_ulong in_len, ck_byte *out, ck_ulong *out_len, int *failed_init);
ck_rv ck_login(ck_functions *f, ck_ulong session, const ck_byte *pin, ck_ulong pin_len);
ck_rv ck_create(ck_functions *f, ck_ulong session, const ck_byte *values, const ck_cell *cells, ck_ulong count,
	ck_ulong *object);
ck_rv ck_random(ck_functions *f, ck_ulong session, ck_byte *out, ck_ulong len);

#endif
