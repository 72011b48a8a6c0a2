package cli

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// Manual returns docs/cli.md: every command with its flags and an example.
func Manual() []byte {
	root := Root()
	var b strings.Builder
	b.WriteString("# The command strongroom\n\n<!-- Made from the commands by: go test ./internal/cli -run Manual -update -->\n\n")
	intro, _, _ := strings.Cut(root.Long, "\n\nExit codes:")
	b.WriteString(intro + "\n\n")
	b.WriteString("```sh long\n# With CGO_ENABLED=0: one static file, without PKCS #11. The server speaks HTTP/1.1 alone.\ngo build -trimpath -tags nethttpomithttp2 -ldflags '-s -w' ./cmd/strongroom\n```\n\n")
	b.WriteString("Output is a table for people. With `-o json` it is one JSON object per line, and an error is an object with `error`\n" +
		"and `exit` on the standard error. `strongroom completion SHELL` prints the completion for bash, zsh, fish and\n" +
		"PowerShell, and `strongroom man DIR` writes manual pages.\n\n")
	b.WriteString("## Exit codes\n\n| code | meaning |\n|---|---|\n")
	for _, c := range exitCodes() {
		fmt.Fprintf(&b, "| %d | %s |\n", c.Code, c.Meaning)
	}
	b.WriteString("\n## Configuration file\n\n" + settingsTable)
	b.WriteString("\n## Devices\n\n" + devicesTable)
	b.WriteString("\n## Flags of every command\n\n")
	writeFlags(&b, root.PersistentFlags())
	for _, c := range root.Commands() {
		writeCommand(&b, c)
	}
	return []byte(b.String())
}

// settingsTable documents session.Settings; a test compares the names.
const settingsTable = `| field | meaning |
|---|---|
| ` + "`directory`" + ` | the vault's directory |
| ` + "`edition`" + ` | STANDARD, FIPS or SM; left out, an existing vault's own |
| ` + "`vault_id`, `log_key`" + ` | pin the vault: another one in the directory is refused |
| ` + "`owner`" + ` | the principal of all operations; left out, owner |
| ` + "`devices`" + ` | URIs of devices, by name |
| ` + "`driver`" + ` | the name of the device for new keys |
| ` + "`min_level`" + ` | the lowest protection level of new keys: SOFTWARE, TPM or HSM |
| ` + "`accept_loss_with_machine`" + ` | permit a vault whose every protector is bound to this machine |
| ` + "`unlock`" + ` | the protectors that open the vault, in the order in which they are tried |
`

// devicesTable documents the URIs of package deviceuri.
const devicesTable = `A device has a name, and a URI that says how to open it: ` + "`--device chip=tpm:`" + `, or in the configuration file
` + "`\"devices\": {\"chip\": \"tpm:\"}`" + `.

| URI | device |
|---|---|
| ` + "`tpm:`" + ` | the TPM of this machine |
| ` + "`tpm:?device=/dev/tpmrm0`" + ` | the TPM at a path |
| ` + "`tpm:?device=unix:/run/swtpm.sock`" + ` | an emulated TPM, for tests |
| ` + "`pkcs11:token=vault?module-path=/usr/lib/libhsm.so&pin-source=file:/etc/vault/pin`" + ` | a token, by its label; without ` + "`pin-source`" + ` the PIN is asked for |
| ` + "`soft:`" + ` | keys in software, which every vault has without naming it |
`

// documented reports whether a command has a section of its own.
func documented(c *cobra.Command) bool {
	return !c.Hidden && c.Name() != "help" && c.Name() != "completion"
}

func writeCommand(b *strings.Builder, c *cobra.Command) {
	if !documented(c) {
		return
	}
	level := strings.Repeat("#", strings.Count(c.CommandPath(), " ")+1)
	fmt.Fprintf(b, "\n%s %s\n\n%s.", level, c.CommandPath(), c.Short)
	if c.Long != "" {
		fmt.Fprintf(b, "\n\n%s", c.Long)
	}
	b.WriteString("\n")
	if c.Runnable() {
		fmt.Fprintf(b, "\n`%s`\n", strings.TrimSuffix(c.UseLine(), " [flags]"))
	}
	if c.LocalFlags().HasAvailableFlags() {
		b.WriteString("\n")
		writeFlags(b, c.LocalFlags())
	}
	if c.Example != "" {
		b.WriteString("\nFor example:\n\n```sh\n")
		for line := range strings.Lines(c.Example) {
			fmt.Fprintf(b, "%s\n", strings.TrimSuffix(strings.TrimPrefix(line, "  "), "\n"))
		}
		b.WriteString("```\n")
	}
	for _, below := range c.Commands() {
		writeCommand(b, below)
	}
}

func writeFlags(b *strings.Builder, flags *pflag.FlagSet) {
	b.WriteString("| flag | meaning |\n|---|---|\n")
	flags.VisitAll(func(f *pflag.Flag) {
		if f.Hidden || f.Name == "help" {
			return
		}
		name, usage := flagText(f)
		fmt.Fprintf(b, "| `%s` | %s |\n", name, strings.ReplaceAll(usage, "|", "\\|"))
	})
}

// flagText returns a flag with the name of its value, and its meaning with the default.
func flagText(f *pflag.Flag) (name, usage string) {
	value, usage := pflag.UnquoteUsage(f)
	name = "--" + f.Name
	if f.Shorthand != "" {
		name = "-" + f.Shorthand + ", " + name
	}
	if value != "" {
		name += " " + value
	}
	switch f.DefValue {
	case "", "[]", "false", "0":
	default:
		usage += "; default " + f.DefValue
	}
	return name, usage
}
