# Completions of spx in fish: the program itself knows what may follow.
function __spx_complete
    set -l words (commandline -opc)
    set -l token (commandline -ct)
    set -l front ""
    if string match -qr '^--[^=]+=' -- $token # an option with its value
        set -l parts (string split -m 1 = -- $token)
        set -a words $parts[1]
        set front "$parts[1]="
        set token "$parts[2]"
    end
    for line in (command $words[1] --complete $words[2..] "$token" 2>/dev/null)
        if test "$line" = :files
            complete -C "'' $token" | string replace -r "^" -- "$front"
        else
            echo "$front$line"
        end
    end
end

for name in spx spx-client spx-relay spx-agent spx-key spx-permit spx-audit
    complete -c $name -f -k -a '(__spx_complete)'
end
