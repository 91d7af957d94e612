#!/bin/sh
# Builds the release before in build/mixed/COMMIT, from the commit that RELEASE names, as that commit's
# own Makefile does. The clone gets no worktree and no branch of it.
set -eu
cd "$(dirname "$0")/../.."
commit=$(cat tests/mixed/RELEASE)
place=build/mixed/$commit

if [ ! -d "$place" ]; then
    if ! git cat-file -e "$commit^{commit}"; then
        echo "this clone lacks the release before, $commit (tests/mixed/RELEASE):" >&2
        echo "fetch it with \`git fetch --unshallow\` or \`git fetch origin $commit\`" >&2
        exit 1
    fi
    rm -rf "$place.part"
    mkdir -p "$place.part"
    git archive -o "$place.part/sources.tar" "$commit"
    tar -x -f "$place.part/sources.tar" -C "$place.part"
    rm "$place.part/sources.tar"
    mv "$place.part" "$place"
fi
# Git would name the commit of the clone around it.
exec make --no-print-directory -C "$place" COMMIT="$(printf %.12s "$commit")" spx
