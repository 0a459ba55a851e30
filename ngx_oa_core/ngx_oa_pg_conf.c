
/*
 * oa_postgres: the directive, and what libpq is told because of it.
 */


#include "ngx_oa_pg.h"


#define NGX_OA_PG_CONNECTIONS      2
#define NGX_OA_PG_CONNECTIONS_MAX  64
#define NGX_OA_PG_TIMEOUT          2000

/* run time pairs: host, hostaddr */
#define NGX_OA_PG_SPARE            2


/* Ours, where the operator says nothing. */
static const char  *ngx_oa_pg_defaults[][2] = {
    { "fallback_application_name", "ngx_oa" },
    { "keepalives_idle", "10" },
    { "keepalives_interval", "5" },
    { "keepalives_count", "3" },
    { NULL, NULL }
};

/*
 * Ours, whatever the operator says.  No password file: a worker reads none,
 * and one that cannot exist keeps libpq from looking for ~/.pgpass.  No GSS:
 * it asks the DNS.  The connect timeout is our own timer.
 */
static const char  *ngx_oa_pg_forced[][2] = {
    { "client_encoding", "UTF8" },
    { "connect_timeout", NULL },
    { "gssencmode", "disable" },
    { "passfile", "/dev/null/none" },
    { NULL, NULL }
};

/* What cannot be had. */
static const char  *ngx_oa_pg_refused[] = {
    "passfile", "replication", "service", "servicefile", NULL
};

static const char  *ngx_oa_pg_sslmodes[] = {
    "disable", "allow", "prefer", "require", "verify-ca", "verify-full", NULL
};


static ngx_int_t ngx_oa_pg_conninfo(ngx_conf_t *cf, ngx_oa_pg_conf_t *pgcf,
    u_char *conninfo);
static ngx_int_t ngx_oa_pg_check_uri(ngx_conf_t *cf, const char *conninfo);
static ngx_int_t ngx_oa_pg_check(ngx_conf_t *cf, PQconninfoOption *options);
static ngx_int_t ngx_oa_pg_copy(ngx_conf_t *cf, ngx_oa_pg_conf_t *pgcf,
    PQconninfoOption *options);
static ngx_int_t ngx_oa_pg_copy_host(ngx_conf_t *cf, ngx_oa_pg_conf_t *pgcf,
    PQconninfoOption *options);
static const char *ngx_oa_pg_option(PQconninfoOption *options,
    const char *keyword);
static ngx_uint_t ngx_oa_pg_is_address(const char *host);
static ngx_uint_t ngx_oa_pg_in(const char **list, const char *word);


char *
ngx_oa_pg_directive(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    u_char            *conninfo;
    ngx_int_t          n, rc;
    ngx_str_t         *value, s;
    ngx_uint_t         i;
    ngx_oa_pg_conf_t  *pgcf;

    pgcf = ngx_oa_pg_conf(cf);

    if (pgcf->keywords) {
        return "is duplicate";
    }

    pgcf->connections = NGX_OA_PG_CONNECTIONS;
    pgcf->timeout = NGX_OA_PG_TIMEOUT;

    value = cf->args->elts;

    for (i = 2; i < cf->args->nelts; i++) {

        if (ngx_strncmp(value[i].data, "connections=", 12) == 0) {
            n = ngx_atoi(value[i].data + 12, value[i].len - 12);

            if (n < 1 || n > NGX_OA_PG_CONNECTIONS_MAX) {
                ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                                   "invalid \"%V\" in \"oa_postgres\", "
                                   "expected 1 to %d connections", &value[i],
                                   NGX_OA_PG_CONNECTIONS_MAX);
                return NGX_CONF_ERROR;
            }

            pgcf->connections = n;

            continue;
        }

        if (ngx_strncmp(value[i].data, "timeout=", 8) == 0) {
            s.len = value[i].len - 8;
            s.data = value[i].data + 8;

            n = ngx_parse_time(&s, 0);

            if (n == NGX_ERROR || n == 0) {
                ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                                   "invalid \"%V\" in \"oa_postgres\", "
                                   "expected a time over zero as in "
                                   "\"timeout=2s\"", &value[i]);
                return NGX_CONF_ERROR;
            }

            pgcf->timeout = n;

            continue;
        }

        /* could be the rest of a conninfo without quotes: not shown */

        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid parameter in \"oa_postgres\", expected "
                           "a conninfo (in quotes if it has spaces), "
                           "\"connections=number\", \"timeout=time\"");
        return NGX_CONF_ERROR;
    }

    s = value[1];

    if (ngx_strncmp(s.data, "env:", 4) == 0
        || ngx_strncmp(s.data, "file:", 5) == 0)
    {
        if (ngx_oa_secret(cf, &value[1], &s) != NGX_OK) {
            return NGX_CONF_ERROR;
        }
    }

    conninfo = ngx_pnalloc(cf->pool, s.len + 1);
    if (conninfo == NULL) {
        return NGX_CONF_ERROR;
    }

    ngx_memcpy(conninfo, s.data, s.len);
    conninfo[s.len] = '\0';

    if (ngx_strlen(conninfo) != s.len) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "a zero byte in the conninfo of \"oa_postgres\"");
        rc = NGX_ERROR;

    } else {
        rc = ngx_oa_pg_conninfo(cf, pgcf, conninfo);
    }

    ngx_explicit_memzero(conninfo, s.len);
    ngx_explicit_memzero(s.data, s.len);

    return rc == NGX_OK ? NGX_CONF_OK : NGX_CONF_ERROR;
}


static ngx_int_t
ngx_oa_pg_conninfo(ngx_conf_t *cf, ngx_oa_pg_conf_t *pgcf, u_char *conninfo)
{
    char              *message;
    size_t             len;
    ngx_int_t          rc;
    PQconninfoOption  *options, *o;

    if (ngx_oa_pg_check_uri(cf, (char *) conninfo) != NGX_OK) {
        return NGX_ERROR;
    }

    message = NULL;
    options = PQconninfoParse((char *) conninfo, &message);

    if (options == NULL) {

        /* libpq quotes what it stumbled over, which may be a password */

        len = message ? strcspn(message, "\"\n") : 0;

        while (len && (message[len - 1] == ' ' || message[len - 1] == ':')) {
            len--;
        }

        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid conninfo in \"oa_postgres\" (%*s), "
                           "expected \"host=... user=... dbname=...\" or "
                           "\"postgresql://user:password@host:port/dbname\"",
                           len, message ? message : "");

        if (message) {
            PQfreemem(message);
        }

        return NGX_ERROR;
    }

    rc = ngx_oa_pg_check(cf, options);

    if (rc == NGX_OK) {
        rc = ngx_oa_pg_copy(cf, pgcf, options);
    }

    for (o = options; o->keyword; o++) {
        if (o->val) {
            ngx_explicit_memzero(o->val, ngx_strlen(o->val));
        }
    }

    PQconninfoFree(options);

    return rc;
}


/*
 * libpq ends the password at the first "@": the rest of a password that has
 * one would become the host, and be logged as such.
 */

static ngx_int_t
ngx_oa_pg_check_uri(ngx_conf_t *cf, const char *conninfo)
{
    size_t       len;
    const char  *at;

    if (ngx_strncmp(conninfo, "postgresql://", 13) != 0
        && ngx_strncmp(conninfo, "postgres://", 11) != 0)
    {
        return NGX_OK;
    }

    len = strcspn(conninfo, "?");
    at = memchr(conninfo, '@', len);

    if (at && memchr(at + 1, '@', len - (at + 1 - conninfo))) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "several \"@\" in the URI of \"oa_postgres\", "
                           "expected \"%%40\" inside a password");
        return NGX_ERROR;
    }

    return NGX_OK;
}


/* Values are not shown: a password with a mistake in it may be in any. */

static ngx_int_t
ngx_oa_pg_check(ngx_conf_t *cf, PQconninfoOption *options)
{
    ngx_int_t     n;
    const char   *value;
    const char  **word;

    for (word = ngx_oa_pg_refused; *word; word++) {
        if (ngx_oa_pg_option(options, *word)) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "\"%s\" is not supported in \"oa_postgres\"",
                               *word);
            return NGX_ERROR;
        }
    }

    if (ngx_oa_pg_option(options, "user") == NULL) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "no user in the conninfo of \"oa_postgres\"");
        return NGX_ERROR;
    }

    value = ngx_oa_pg_option(options, "host");

    if ((value && strchr(value, ','))
        || ((value = ngx_oa_pg_option(options, "hostaddr")) != NULL
            && strchr(value, ',')))
    {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "several hosts in \"oa_postgres\", expected one "
                           "(its name may have several addresses)");
        return NGX_ERROR;
    }

    value = ngx_oa_pg_option(options, "hostaddr");

    if (value && !ngx_oa_pg_is_address(value)) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid hostaddr in \"oa_postgres\", expected "
                           "an address");
        return NGX_ERROR;
    }

    value = ngx_oa_pg_option(options, "port");

    if (value) {
        n = ngx_atoi((u_char *) value, ngx_strlen(value));

        if (n < 1 || n > 65535) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "invalid port in \"oa_postgres\", expected "
                               "1 to 65535");
            return NGX_ERROR;
        }
    }

    value = ngx_oa_pg_option(options, "sslmode");

    if (value && !ngx_oa_pg_in(ngx_oa_pg_sslmodes, value)) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid sslmode in \"oa_postgres\", expected "
                           "disable, allow, prefer, require, verify-ca or "
                           "verify-full");
        return NGX_ERROR;
    }

    return NGX_OK;
}


static ngx_int_t
ngx_oa_pg_copy(ngx_conf_t *cf, ngx_oa_pg_conf_t *pgcf,
    PQconninfoOption *options)
{
    size_t             len;
    u_char            *p;
    ngx_uint_t         i, n;
    const char        *forced[NGX_OA_PG_SPARE
                              + sizeof(ngx_oa_pg_forced)
                                / sizeof(ngx_oa_pg_forced[0])];
    PQconninfoOption  *o;

    n = NGX_OA_PG_SPARE + 1 + sizeof(ngx_oa_pg_defaults)
                              / sizeof(ngx_oa_pg_defaults[0])
        + sizeof(ngx_oa_pg_forced) / sizeof(ngx_oa_pg_forced[0]);

    for (o = options; o->keyword; o++) {
        n++;
    }

    pgcf->keywords = ngx_pcalloc(cf->pool, n * sizeof(char *));
    pgcf->values = ngx_pcalloc(cf->pool, n * sizeof(char *));

    if (pgcf->keywords == NULL || pgcf->values == NULL) {
        return NGX_ERROR;
    }

    for (i = 0; ngx_oa_pg_forced[i][0]; i++) {
        forced[i] = ngx_oa_pg_forced[i][0];
    }

    forced[i] = NULL;
    n = 0;

    for (o = options; o->keyword; o++) {

        if (ngx_oa_pg_option(options, o->keyword) == NULL
            || ngx_oa_pg_in(forced, o->keyword))
        {
            continue;
        }

        len = ngx_strlen(o->keyword) + 1;

        p = ngx_pnalloc(cf->pool, len + ngx_strlen(o->val) + 1);
        if (p == NULL) {
            return NGX_ERROR;
        }

        pgcf->keywords[n] = (char *) p;
        p = ngx_cpymem(p, o->keyword, len);

        pgcf->values[n++] = (char *) p;
        ngx_memcpy(p, o->val, ngx_strlen(o->val) + 1);
    }

    for (i = 0; ngx_oa_pg_defaults[i][0]; i++) {
        if (ngx_oa_pg_option(options, ngx_oa_pg_defaults[i][0]) == NULL) {
            pgcf->keywords[n] = ngx_oa_pg_defaults[i][0];
            pgcf->values[n++] = ngx_oa_pg_defaults[i][1];
        }
    }

    for (i = 0; ngx_oa_pg_forced[i][0]; i++) {
        if (ngx_oa_pg_forced[i][1]) {
            pgcf->keywords[n] = ngx_oa_pg_forced[i][0];
            pgcf->values[n++] = ngx_oa_pg_forced[i][1];
        }
    }

    pgcf->nparams = n;

    return ngx_oa_pg_copy_host(cf, pgcf, options);
}


/*
 * An address as host is given as hostaddr too, for libpq to parse it as one;
 * a name without hostaddr is resolved before each attempt.
 */

static ngx_int_t
ngx_oa_pg_copy_host(ngx_conf_t *cf, ngx_oa_pg_conf_t *pgcf,
    PQconninfoOption *options)
{
    u_char      *p;
    ngx_uint_t   i;
    const char  *host;

    host = ngx_oa_pg_option(options, "host");

    if (host == NULL || host[0] == '/' || host[0] == '@'
        || ngx_oa_pg_option(options, "hostaddr"))
    {
        return NGX_OK;
    }

    if (ngx_oa_pg_is_address(host)) {
        for (i = 0; ngx_strcmp(pgcf->keywords[i], "host") != 0; i++) {
            /* void */
        }

        pgcf->keywords[pgcf->nparams] = "hostaddr";
        pgcf->values[pgcf->nparams++] = pgcf->values[i];

        return NGX_OK;
    }

    pgcf->host.len = ngx_strlen(host);

    for (i = 0; i < pgcf->host.len; i++) {
        if (!isalnum((u_char) host[i]) && strchr("-._", host[i]) == NULL) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "invalid host in \"oa_postgres\", expected a "
                               "name, an address or a path");
            return NGX_ERROR;
        }
    }

    /* a copy: the resolver writes to it */

    p = ngx_pnalloc(cf->pool, pgcf->host.len);
    if (p == NULL) {
        return NGX_ERROR;
    }

    ngx_memcpy(p, host, pgcf->host.len);
    pgcf->host.data = p;

    return ngx_oa_resolve_need(cf, &pgcf->host);
}


/* libpq takes an empty value for none. */

static const char *
ngx_oa_pg_option(PQconninfoOption *options, const char *keyword)
{
    PQconninfoOption  *o;

    for (o = options; o->keyword; o++) {
        if (ngx_strcmp(o->keyword, keyword) == 0) {
            return (o->val && o->val[0]) ? o->val : NULL;
        }
    }

    return NULL;
}


static ngx_uint_t
ngx_oa_pg_is_address(const char *host)
{
    /* no name has a colon; a scope id is libpq's to parse */

    return strchr(host, ':') != NULL
           || ngx_inet_addr((u_char *) host, ngx_strlen(host)) != INADDR_NONE;
}


static ngx_uint_t
ngx_oa_pg_in(const char **list, const char *word)
{
    for ( /* void */ ; *list; list++) {
        if (ngx_strcmp(*list, word) == 0) {
            return 1;
        }
    }

    return 0;
}


ngx_uint_t
ngx_oa_pg_configured(ngx_conf_t *cf)
{
    return ngx_oa_pg_conf(cf)->keywords != NULL;
}


PGconn *
ngx_oa_pg_connect(ngx_oa_pg_conf_t *pgcf, ngx_oa_resolve_t *rs)
{
    u_char      *hosts, *host, *addr, *addrs;
    PGconn      *pg;
    ngx_uint_t   i, n;

    if (pgcf->host.len == 0) {
        return PQconnectStartParams(pgcf->keywords, pgcf->values, 0);
    }

    n = rs->naddrs * (pgcf->host.len + 1) + 1;

    hosts = ngx_alloc(n + rs->naddrs * (NGX_INET6_ADDRSTRLEN + 1) + 1,
                      ngx_cycle->log);
    if (hosts == NULL) {
        return NULL;
    }

    addrs = hosts + n;

    host = hosts;
    addr = addrs;

    for (i = 0; i < rs->naddrs; i++) {
        if (i) {
            *host++ = ',';
            *addr++ = ',';
        }

        host = ngx_cpymem(host, pgcf->host.data, pgcf->host.len);
        addr = ngx_cpymem(addr, rs->addrs[i].data, rs->addrs[i].len);
    }

    *host = '\0';
    *addr = '\0';

    n = pgcf->nparams;

    pgcf->keywords[n] = "host";
    pgcf->values[n++] = (char *) hosts;
    pgcf->keywords[n] = "hostaddr";
    pgcf->values[n++] = (char *) addrs;
    pgcf->keywords[n] = NULL;
    pgcf->values[n] = NULL;

    pg = PQconnectStartParams(pgcf->keywords, pgcf->values, 0);

    pgcf->keywords[pgcf->nparams] = NULL;

    ngx_free(hosts);

    return pg;
}
