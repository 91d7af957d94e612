# Completions of spx in bash: the program itself knows what may follow.
# shellcheck shell=bash
_spx()
{
    local line
    COMPREPLY=()
    while IFS= read -r line; do
        if [ "$line" = :files ]; then
            compopt -o default # no words: readline completes names of files
        else
            COMPREPLY+=("${line%%$'\t'*}")
        fi
    done < <("$1" --complete "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null)
}

complete -F _spx spx spx-client spx-relay spx-agent spx-key spx-permit spx-audit
