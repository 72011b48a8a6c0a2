package cli

import (
	"io"
	"strings"

	"github.com/spf13/cobra"
)

// bashWords follows cobra's script for bash, which takes the words of the line from the package
// bash-completion. Many servers lack that package. Unlike COMP_WORDS, the words are not split at
// = and :. Lines with redirections or substitutions have no completion, because cobra's script
// evaluates the words: a redirection would write to its file, and a substitution would run.
const bashWords = `
if ! declare -F _get_comp_words_by_ref >/dev/null 2>&1; then
    __strongroom_init_completion()
    {
        COMPREPLY=()
        local line=${COMP_LINE:0:COMP_POINT}
        [[ $line != *[\<\>\` + "`" + `]* && $line != *'$('* ]] || return 1
        read -r -a words <<<"$line"
        [[ $line == *[[:space:]] ]] && words+=('')
        cword=$((${#words[@]} - 1))
        cur=${words[cword]} prev=${words[cword - 1]}
    }
fi
`

// addCompletion adds the command completion, whose script for bash needs no other package.
func (a *app) addCompletion(root *cobra.Command) {
	root.InitDefaultCompletionCmd()
	bash, _, err := root.Find([]string{"completion", "bash"})
	must(err)
	bash.Long = strings.Replace(bash.Long, "This script depends on the 'bash-completion' package.\nIf it is not installed already, you can install it via your OS's package manager.\n", "The script needs no other package.\n", 1)
	print := bash.RunE
	bash.RunE = func(c *cobra.Command, args []string) error {
		if err := print(c, args); err != nil {
			return err
		}
		_, err := io.WriteString(a.stdout, bashWords)
		return err
	}
}
