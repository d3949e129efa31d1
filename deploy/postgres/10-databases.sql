-- Makes two roles that know nothing of each other, and their databases; run once, on an empty data volume.
-- Jiesu cannot touch Temporal's histories and Temporal cannot touch the read model; neither is a superuser.
\getenv jiesu_password POSTGRES_PASSWORD_JIESU
\getenv temporal_password POSTGRES_PASSWORD_TEMPORAL
CREATE ROLE jiesu LOGIN PASSWORD :'jiesu_password';
CREATE ROLE temporal LOGIN PASSWORD :'temporal_password';
CREATE DATABASE jiesu OWNER jiesu;
CREATE DATABASE temporal OWNER temporal;
CREATE DATABASE temporal_visibility OWNER temporal;
REVOKE CONNECT, TEMPORARY ON DATABASE jiesu, temporal, temporal_visibility FROM PUBLIC;
