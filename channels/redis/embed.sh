#!/bin/sh
# embed.sh OUT SCRIPT... - writes the scripts as C texts with the hash by which Redis calls them; a line
# `-- include FILE` stands for that file.
out=$1
shift
{
    echo '#include "channels/redis_scripts.h"'
    echo
    echo 'const struct redis_script redis_scripts[REDIS_SCRIPT_COUNT] = {'
    for script; do
        name=$(basename "$script" .lua)
        awk -v dir="$(dirname "$script")" '
            /^-- include / { file = dir "/" $3; while ((getline line < file) > 0) print line; close(file); next }
            { print }' "$script" >"$out.lua"
        echo "    [REDIS_SCRIPT_$(echo "$name" | tr '[:lower:]' '[:upper:]')] = {"
        echo "        \"$name\", \"$(sha1sum <"$out.lua" | cut -c 1-40)\","
        sed 's/\\/\\\\/g; s/"/\\"/g; s/.*/        "&\\n"/' "$out.lua"
        echo '    },'
    done
    echo '};'
    rm -f "$out.lua"
} >"$out"
