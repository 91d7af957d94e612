#compdef spx spx-client spx-relay spx-agent spx-key spx-permit spx-audit
# Completions of spx in zsh: the program itself knows what may follow.
local line
local -a offers

for line in "${(@f)$("${(Q)words[1]}" --complete "${(@Q)words[2,CURRENT-1]}" "$PREFIX" 2>/dev/null)}"; do
    case $line in
    :files) _files ;;
    ?*) offers+=("${${line//:/\\:}/$'\t'/:}") ;;
    esac
done
_describe -V spx offers
