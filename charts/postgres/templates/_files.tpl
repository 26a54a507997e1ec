{{- define "postgres.files" -}}
{{- $a := .Values.archive -}}
{{- $repositories := include "postgres.repositories" . -}}
{{- if and $a.enabled (not $repositories) }}{{ fail "postgres.archive: enabled without volume or s3; enable one of them, or set archive.enabled=false" }}{{ end -}}
postgresql.conf: |
  listen_addresses = '*'
  port = 5432
  unix_socket_directories = '/run/postgresql'
  password_encryption = 'scram-sha-256'
  # Archiving
  wal_level = replica
  wal_compression = zstd
  archive_mode = {{ if $a.enabled }}on{{ else }}off{{ end }}
  archive_command = {{ if $a.enabled }}'pgbackrest --stanza=sigma archive-push %p'{{ else }}''{{ end }}
  archive_timeout = {{ if $a.enabled }}{{ int $a.timeout }}{{ else }}0{{ end }}
  max_slot_wal_keep_size = 2GB
  # Journals are small transactions on one disk: what is committed is on it.
  synchronous_commit = on
  checkpoint_timeout = 15min
  checkpoint_completion_target = 0.9
  jit = off
  huge_pages = off
  dynamic_shared_memory_type = posix
  idle_in_transaction_session_timeout = 60s
  tcp_keepalives_idle = 60
  timezone = 'UTC'
  log_destination = 'stderr'
  log_timezone = 'UTC'
  log_line_prefix = '%m %u@%d '
  log_checkpoints = on
  log_lock_waits = on
  {{- range $name, $value := .Values.settings }}
  {{ $name }} = {{ if kindIs "string" $value }}'{{ $value }}'{{ else }}{{ $value }}{{ end }}
  {{- end }}
pg_hba.conf: |
  # The superuser comes from inside the pod only, and has no password.
  local all postgres peer
  host all postgres 0.0.0.0/0 reject
  host all postgres ::/0 reject
  host sigma all 0.0.0.0/0 scram-sha-256
  host sigma all ::/0 scram-sha-256
pgbackrest.conf: |
  [global]
  log-level-console=warn
  log-level-file=off
  lock-path=/tmp/pgbackrest
  spool-path=/tmp/pgbackrest
  compress-type=zst
  start-fast=y
  archive-push-queue-max={{ $a.queueMax }}
  {{- if $a.volume.enabled }}
  repo1-path=/backup
  repo1-bundle=y
  repo1-retention-full={{ int $a.backup.keepFull }}
  {{- end }}
  {{- if $a.s3.enabled }}
  repo2-type=s3
  repo2-path={{ $a.s3.path }}
  repo2-s3-endpoint={{ $a.s3.endpoint }}
  repo2-s3-bucket={{ $a.s3.bucket }}
  repo2-s3-region={{ $a.s3.region }}
  repo2-s3-uri-style={{ $a.s3.uriStyle }}
  repo2-storage-verify-tls={{ if $a.s3.verifyTls }}y{{ else }}n{{ end }}
  repo2-bundle=y
  repo2-retention-full={{ int $a.backup.keepFull }}
  {{- if $a.s3.encrypt }}
  repo2-cipher-type=aes-256-cbc
  {{- end }}
  {{- end }}
  [sigma]
  pg1-path=/data/pg
  pg1-socket-path=/run/postgresql
  pg1-user=postgres
roles.sql: |
  -- Run at every start: says what holds, whatever was before.
  \set ON_ERROR_STOP on
  \set owner `cat /etc/sigma-passwords/owner`
  \set granter `cat /etc/sigma-passwords/granter`
  \set control `cat /etc/sigma-passwords/control`
  \set backtest `cat /etc/sigma-passwords/backtest`
  \set reader `cat /etc/sigma-passwords/reader`
  SELECT format('CREATE ROLE %I', name) FROM unnest(ARRAY['sigma_owner', 'sigma_bot', 'sigma_granter', 'sigma_control',
    'sigma_backtest', 'sigma_reader']) AS name WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = name) \gexec
  ALTER ROLE sigma_owner LOGIN PASSWORD :'owner';
  -- A group: the login of each account is made by the granter when a bot of it starts. Where it is a login, that all
  -- bots shared, those that run keep it for a while.
  SELECT format('ALTER ROLE sigma_bot VALID UNTIL %L', now() + interval '7 days') FROM pg_roles
    WHERE rolname = 'sigma_bot' AND rolcanlogin AND rolvaliduntil IS NULL \gexec
  ALTER ROLE sigma_granter LOGIN NOINHERIT CREATEROLE PASSWORD :'granter';
  GRANT sigma_bot TO sigma_granter WITH ADMIN OPTION;
  ALTER ROLE sigma_control LOGIN PASSWORD :'control';
  ALTER ROLE sigma_backtest LOGIN PASSWORD :'backtest' CONNECTION LIMIT 20;
  ALTER ROLE sigma_reader LOGIN PASSWORD :'reader' CONNECTION LIMIT 20;
  ALTER ROLE sigma_reader SET default_transaction_read_only = on;
  ALTER ROLE sigma_reader SET statement_timeout = '60s';
  SELECT 'CREATE DATABASE sigma OWNER sigma_owner' WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = 'sigma') \gexec
  \connect sigma
  REVOKE ALL ON DATABASE sigma FROM PUBLIC;
  GRANT CONNECT ON DATABASE sigma TO sigma_bot, sigma_granter, sigma_control, sigma_backtest, sigma_reader;
  ALTER SCHEMA public OWNER TO sigma_owner;
  REVOKE ALL ON SCHEMA public FROM PUBLIC;
  GRANT USAGE ON SCHEMA public TO sigma_bot, sigma_granter, sigma_control, sigma_backtest, sigma_reader;
  -- Tables are the owner's, made by migrations, which give every role its rights on them, by name.
  ALTER DEFAULT PRIVILEGES FOR ROLE sigma_owner IN SCHEMA public REVOKE ALL ON TABLES FROM sigma_bot;
  ALTER DEFAULT PRIVILEGES FOR ROLE sigma_owner IN SCHEMA public REVOKE ALL ON SEQUENCES FROM sigma_bot;
  ALTER DEFAULT PRIVILEGES FOR ROLE sigma_owner IN SCHEMA public REVOKE ALL ON TABLES FROM sigma_reader;
{{- end }}
