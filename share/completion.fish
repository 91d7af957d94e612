# Completions of spx in fish: the program itself knows what may follow.
function __spx_complete
    set -l words (commandline -opc) (commandline -ct)
    for line in (command $words[1] --complete $words[2..] 2>/dev/null)
        if test "$line" = :files
            __fish_complete_path (commandline -ct)
        else
            echo $line
        end
    end
end

for name in spx spx-client spx-relay spx-agent spx-key spx-permit spx-audit
    complete -c $name -f -k -a '(__spx_complete)'
end
