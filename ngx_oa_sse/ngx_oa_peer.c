
/*
 * The way to a machine: its name is resolved, one address after the other is
 * tried, and TLS agreed upon.  All of it has one time limit, which is that of
 * the stream's timer.
 */


#include "ngx_oa_sse.h"

#if (NGX_SSL)
#include <openssl/x509v3.h>
#endif


/* for an address that does not answer, where there is another one */
#define NGX_OA_PEER_ADDRESS  2000            /* ms */


/* What is needed only until the machine is there. */

struct ngx_oa_peer_s {
    ngx_oa_resolve_t             resolve;
    ngx_str_t                    host;
    ngx_uint_t                   address;      /* the next one to be tried */
    in_port_t                    port;
    unsigned                     tls:1;
    unsigned                     literal:1;    /* the host is an address */
    u_char                       text[1];      /* of host, NUL-terminated */
};


static void ngx_oa_peer_connect_to(ngx_oa_stream_t *st, ngx_str_t address);
static void ngx_oa_peer_resolved(void *data, const char *error);
static void ngx_oa_peer_try(ngx_oa_stream_t *st);
static ngx_int_t ngx_oa_peer_try_address(ngx_oa_stream_t *st,
    ngx_str_t *address);
static ngx_int_t ngx_oa_peer_get(ngx_peer_connection_t *pc, void *data);
static void ngx_oa_peer_event(ngx_event_t *ev);
static void ngx_oa_peer_established(ngx_oa_stream_t *st);
static void ngx_oa_peer_fail(ngx_oa_stream_t *st, const char *why);
#if (NGX_SSL)
static void ngx_oa_peer_handshake(ngx_oa_stream_t *st);
static void ngx_oa_peer_shaken(ngx_connection_t *c);
static ngx_uint_t ngx_oa_peer_is_the_one(ngx_oa_stream_t *st);
#endif


static const ngx_str_t  ngx_oa_peer_localhost = ngx_string("127.0.0.1");


void
ngx_oa_peer_connect(ngx_oa_stream_t *st, const ngx_oa_target_t *target)
{
    ngx_oa_peer_t  *peer;

    if (target->host.len == 0) {
        ngx_oa_stream_end(st, NGX_OA_END_UNREACHABLE);
        return;
    }

    peer = ngx_calloc(sizeof(ngx_oa_peer_t) + target->host.len,
                      ngx_cycle->log);
    if (peer == NULL) {
        ngx_oa_stream_end(st, NGX_OA_END_INTERNAL);
        return;
    }

    st->peer = peer;

    peer->port = target->port;
    peer->tls = target->tls;
    peer->literal = target->address;

    peer->host.len = target->host.len;
    peer->host.data = peer->text;
    ngx_memcpy(peer->text, target->host.data, target->host.len);

    if (peer->literal) {
        ngx_oa_peer_connect_to(st, peer->host);
        return;
    }

    if (peer->host.len == sizeof("localhost") - 1
        && ngx_strncasecmp(peer->host.data, (u_char *) "localhost", 9) == 0)
    {
        ngx_oa_peer_connect_to(st, ngx_oa_peer_localhost);
        return;
    }

    peer->resolve.handler = ngx_oa_peer_resolved;
    peer->resolve.data = st;

    ngx_oa_resolve(&peer->resolve, &peer->host);
}


static void
ngx_oa_peer_connect_to(ngx_oa_stream_t *st, ngx_str_t address)
{
    st->peer->resolve.naddrs = 1;
    st->peer->resolve.addrs[0] = address;

    ngx_oa_peer_try(st);
}


void
ngx_oa_peer_free(ngx_oa_stream_t *st)
{
    if (st->peer == NULL) {
        return;
    }

    ngx_oa_resolve_done(&st->peer->resolve);

    ngx_free(st->peer);
    st->peer = NULL;
}


static void
ngx_oa_peer_resolved(void *data, const char *error)
{
    ngx_oa_stream_t *st = data;

    if (error) {
        ngx_oa_peer_fail(st, error);
        return;
    }

    ngx_oa_peer_try(st);
}


/* Those addresses that remain, until one of them may answer. */

static void
ngx_oa_peer_try(ngx_oa_stream_t *st)
{
    ngx_int_t       rc;
    ngx_str_t      *address;
    ngx_oa_peer_t  *peer;

    peer = st->peer;

    while (peer->address < peer->resolve.naddrs) {

        address = &peer->resolve.addrs[peer->address++];
        rc = ngx_oa_peer_try_address(st, address);

        if (rc == NGX_OK) {
            ngx_oa_peer_established(st);
            return;
        }

        if (rc == NGX_AGAIN) {
            st->state = NGX_OA_STREAM_CONNECTING;
            return;
        }

        if (rc == NGX_ERROR) {
            ngx_oa_stream_fail(st, NGX_OA_END_INTERNAL, 0,
                               "there is no connection to be had");
            return;
        }
    }

    ngx_oa_peer_fail(st, "no address of it takes a connection");
}


static ngx_int_t
ngx_oa_peer_try_address(ngx_oa_stream_t *st, ngx_str_t *address)
{
    ngx_int_t               rc;
    ngx_pool_t             *pool;
    ngx_addr_t              addr;
    ngx_connection_t       *c;
    ngx_peer_connection_t   pc;

    pool = ngx_create_pool(512, ngx_cycle->log);
    if (pool == NULL) {
        return NGX_ERROR;
    }

    rc = ngx_parse_addr(pool, &addr, address->data, address->len);

    if (rc != NGX_OK) {
        ngx_destroy_pool(pool);
        return rc;
    }

    ngx_inet_set_port(addr.sockaddr, st->peer->port);

    ngx_memzero(&pc, sizeof(ngx_peer_connection_t));

    pc.sockaddr = addr.sockaddr;
    pc.socklen = addr.socklen;
    pc.name = address;
    pc.get = ngx_oa_peer_get;
    pc.log = ngx_cycle->log;
    pc.log_error = NGX_ERROR_ERR;

    rc = ngx_event_connect_peer(&pc);

    ngx_destroy_pool(pool);

    if (rc != NGX_OK && rc != NGX_AGAIN) {
        if (pc.connection) {
            ngx_close_connection(pc.connection);
        }

        return rc == NGX_ERROR ? NGX_ERROR : NGX_DECLINED;
    }

    c = pc.connection;

    c->data = st;
    c->read->handler = ngx_oa_peer_event;
    c->write->handler = ngx_oa_peer_event;
    c->sendfile = 0;

    st->connection = c;

    if (rc == NGX_AGAIN && st->peer->address < st->peer->resolve.naddrs) {
        ngx_add_timer(c->write, NGX_OA_PEER_ADDRESS);
    }

    return rc;
}


static ngx_int_t
ngx_oa_peer_get(ngx_peer_connection_t *pc, void *data)
{
    return NGX_OK;
}


static void
ngx_oa_peer_event(ngx_event_t *ev)
{
    int                err;
    socklen_t          len;
    ngx_connection_t  *c;
    ngx_oa_stream_t   *st;

    c = ev->data;
    st = c->data;

    if (c->close) {
        ngx_oa_stream_end(st, NGX_OA_END_SHUTDOWN);
        return;
    }

    err = 0;
    len = sizeof(int);

    if (ev->timedout) {
        err = NGX_ETIMEDOUT;

    } else if (getsockopt(c->fd, SOL_SOCKET, SO_ERROR, (void *) &err, &len)
               == -1)
    {
        err = ngx_socket_errno;
    }

    if (err) {
        ngx_log_error(NGX_LOG_ERR, c->log, err,
                      "connect() of stream \"%V\" to machine \"%V\" (%V:%d) "
                      "failed", &st->name, &st->peer->host,
                      &st->peer->resolve.addrs[st->peer->address - 1],
                      (int) st->peer->port);

        ngx_oa_stream_close(st);
        ngx_oa_peer_try(st);
        return;
    }

    if (!ev->write) {
        return;
    }

    ngx_oa_peer_established(st);
}


static void
ngx_oa_peer_established(ngx_oa_stream_t *st)
{
    if (st->connection->write->timer_set) {
        ngx_del_timer(st->connection->write);
    }

    if (ngx_tcp_nodelay(st->connection) != NGX_OK) {
        ngx_oa_stream_end(st, NGX_OA_END_INTERNAL);
        return;
    }

#if (NGX_SSL)
    if (st->peer->tls) {
        ngx_oa_peer_handshake(st);
        return;
    }
#endif

    ngx_oa_peer_free(st);
    ngx_oa_stream_connected(st);
}


static void
ngx_oa_peer_fail(ngx_oa_stream_t *st, const char *why)
{
    ngx_log_error(NGX_LOG_ERR, ngx_cycle->log, 0,
                  "stream \"%V\" failed: machine \"%V\": %s", &st->name,
                  &st->peer->host, why);

    ngx_oa_stream_end(st, NGX_OA_END_UNREACHABLE);
}


#if (NGX_SSL)

static void
ngx_oa_peer_handshake(ngx_oa_stream_t *st)
{
    ngx_connection_t        *c;
    ngx_oa_sse_main_conf_t  *smcf;

    c = st->connection;
    st->state = NGX_OA_STREAM_HANDSHAKING;

    smcf = ngx_http_cycle_get_module_main_conf(ngx_cycle, ngx_oa_sse_module);

    c->pool = ngx_create_pool(512, ngx_cycle->log);

    if (c->pool == NULL
        || ngx_ssl_create_connection(smcf->ssl, c,
                                     NGX_SSL_BUFFER|NGX_SSL_CLIENT)
           != NGX_OK)
    {
        ngx_oa_stream_end(st, NGX_OA_END_INTERNAL);
        return;
    }

    if (!st->peer->literal
        && SSL_set_tlsext_host_name(c->ssl->connection,
                                    (char *) st->peer->host.data)
           == 0)
    {
        ngx_oa_stream_end(st, NGX_OA_END_INTERNAL);
        return;
    }

    if (ngx_ssl_handshake(c) == NGX_AGAIN) {
        c->ssl->handler = ngx_oa_peer_shaken;
        return;
    }

    ngx_oa_peer_shaken(c);
}


static void
ngx_oa_peer_shaken(ngx_connection_t *c)
{
    long              rc;
    ngx_oa_stream_t  *st;

    st = c->data;

    if (c->close) {
        ngx_oa_stream_end(st, NGX_OA_END_SHUTDOWN);
        return;
    }

    if (!c->ssl->handshaked) {
        ngx_oa_peer_fail(st, "the TLS handshake failed");
        return;
    }

    rc = SSL_get_verify_result(c->ssl->connection);

    if (rc != X509_V_OK) {
        ngx_oa_peer_fail(st, X509_verify_cert_error_string(rc));
        return;
    }

    if (!ngx_oa_peer_is_the_one(st)) {
        ngx_oa_peer_fail(st, "the certificate is for another name");
        return;
    }

#ifdef SSL_OP_IGNORE_UNEXPECTED_EOF

    /* an answer may end with the connection, whose end is then to be said */

    SSL_clear_options(c->ssl->connection, SSL_OP_IGNORE_UNEXPECTED_EOF);
#endif

    ngx_oa_peer_free(st);
    ngx_oa_stream_connected(st);
}


static ngx_uint_t
ngx_oa_peer_is_the_one(ngx_oa_stream_t *st)
{
    X509       *cert;
    ngx_uint_t  is;

    if (!st->peer->literal) {
        return ngx_ssl_check_host(st->connection, &st->peer->host) == NGX_OK;
    }

    cert = SSL_get_peer_certificate(st->connection->ssl->connection);
    if (cert == NULL) {
        return 0;
    }

    is = (X509_check_ip_asc(cert, (char *) st->peer->host.data, 0) == 1);

    X509_free(cert);

    return is;
}

#endif


void
ngx_oa_stream_close(ngx_oa_stream_t *st)
{
    ngx_pool_t        *pool;
    ngx_connection_t  *c;

    c = st->connection;

    if (c == NULL) {
        return;
    }

    st->connection = NULL;

    pool = c->pool;

#if (NGX_SSL)
    if (c->ssl) {
        c->ssl->no_wait_shutdown = 1;
        c->ssl->no_send_shutdown = 1;
        (void) ngx_ssl_shutdown(c);
    }
#endif

    ngx_close_connection(c);

    if (pool) {
        ngx_destroy_pool(pool);
    }
}
