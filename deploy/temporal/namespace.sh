#!/bin/sh
# Makes the namespace, its retention and its search attributes what they should be; running it again changes nothing.
# temporal reads TEMPORAL_ADDRESS and TEMPORAL_NAMESPACE from the environment; RETENTION is ours.
set -eu

if temporal operator namespace describe --namespace "$TEMPORAL_NAMESPACE" >/dev/null 2>&1; then
    temporal operator namespace update --namespace "$TEMPORAL_NAMESPACE" --retention "$RETENTION"
else
    temporal operator namespace create --namespace "$TEMPORAL_NAMESPACE" --retention "$RETENTION" \
        --description "Jiesu: one workflow per issue"
fi

# The same as SEARCH_ATTRIBUTES in runtime/devserver.py; a test compares them.
add_search_attributes() {
    temporal operator search-attribute create --namespace "$TEMPORAL_NAMESPACE" \
        --name JiesuCompound --type Keyword \
        --name JiesuCommunity --type Keyword \
        --name JiesuStreet --type Keyword \
        --name JiesuCategory --type Keyword \
        --name JiesuPolicy --type Keyword \
        --name JiesuUrgent --type Bool
}

# A server that caches namespaces does not know a new one for some seconds.
tries=0
until add_search_attributes; do
    tries=$((tries + 1))
    [ "$tries" -lt 20 ] || exit 1
    sleep 1
done
