#compdef spx spx-client spx-relay spx-agent spx-key spx-permit spx-audit
# Completions of spx in zsh: the program itself knows what may follow.
local line
local -a typed offers

typed=("${(@Q)words[2,CURRENT-1]}")
if [[ $PREFIX == --[^=]##=* ]]; then # an option with its value
    typed+=("${PREFIX%%=*}")
    compset -P 1 '*='
fi

for line in "${(@f)$("${(Q)words[1]}" --complete "${(@)typed}" "$PREFIX" 2>/dev/null)}"; do
    case $line in
    :files) _files ;;
    ?*) offers+=("${${line//:/\\:}/$'\t'/:}") ;;
    esac
done
_describe -V spx offers
