-- Makes the role and the database of the keys of issues; run once, on an empty data volume.
\getenv keys_password POSTGRES_PASSWORD_KEYS
CREATE ROLE jiesu_keys LOGIN PASSWORD :'keys_password';
CREATE DATABASE jiesu_keys OWNER jiesu_keys;
REVOKE CONNECT, TEMPORARY ON DATABASE jiesu_keys FROM PUBLIC;
