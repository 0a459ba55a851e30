# The machine's URI: of the directive, or of the request where there is none;
# arguments go along but for tokens and ours.

use strict;
use warnings;

use Test::More;

use FindBin;
use lib "$FindBin::Bin/lib";

use OA::Agent;
use OA::Events;
use OA::Nginx;
use OA::Token qw(key jwks $ISSUER);

my $agent = OA::Agent->new(sub {
    my ($c) = @_;
    $c->head;
    $c->event("data: [DONE]\n\n");
    $c->end;
});

my $url = $agent->url;
my $key = key('ES256');

my $ng = OA::Nginx->new(files => { 'jwks.json' => jwks($key) },
                        http => <<"CONF");
    oa_issuer t {
        jwks_file jwks.json; issuer $ISSUER; audience authenticated;
    }
    server {
        listen 127.0.0.1:%%PORT_0%%;
        location /path  { oa_sse_pass $url/api/stream; }
        location /slash { oa_sse_pass $url/; }
        location /args  { oa_sse_pass $url/api?fixed=1&x=\$arg_x; }
        location /only  { oa_sse_pass $url?a=\$arg_x; }
        location /var   { oa_sse_pass $url/a/\$arg_x/\$uri; }
        location /      { oa_sse_pass $url; }
        location /re/   { rewrite ^ "/again/b c?c=d"; }
        location /in    { error_page 404 = "/again/\xc3\xa9?x=1"; return 404; }
        location /named { error_page 404 = \@it; return 404; }
        location \@it   { oa_sse_pass $url; }
        location /again { oa_sse_pass $url; }
        location /auth {
            oa_auth t optional;
            oa_auth_token query=key header;
            oa_sse_pass $url;
        }
    }
CONF

sub uri {
    my ($path, %o) = @_;
    my $n = $agent->requests;
    my $s = OA::Events->new($ng->port, $path, %o);
    is $s->wait_end, 'complete', "$path: an answer";
    return $s->status if $s->status != 200;
    $agent->wait_requests($n + 1);
    return ($agent->requests)[$n]->path;
}

my @cases = (
    [ '/path',                    '/api/stream' ],
    [ '/path/below',              '/api/stream' ],
    [ '/path?',                   '/api/stream' ],
    [ '/path?sessionId=1&b=%20+', '/api/stream?sessionId=1&b=%20+' ],
    [ '/slash/x?y',               '/?y' ],
    [ '/args?x=1&y=2',            '/api?fixed=1&x=1' ],
    [ '/args',                    '/api?fixed=1&x=' ],
    [ '/only/b?x=1',              '/only/b?a=1' ],
    [ '/var/z?x=%2F',             '/a/%2F//var/z?x=%2F' ],
    [ '/',                        '/' ],
    [ '/a%2Fb//c/../d?e=f',       '/a%2Fb//c/../d?e=f' ],
    [ '/a?b?c=d&&e',              '/a?b?c=d&&e' ],
    [ "/\xc3\xa9?\xc3\xa9",       "/\xc3\xa9?\xc3\xa9" ],
    [ '/a?access_token=x',        '/a' ],
    [ '/a?b=1&access_token=x&c',  '/a?b=1&c' ],
    [ '/a?Access_Token=x&b',      '/a?b' ],
    [ '/a?access%5Ftoken=x&b',    '/a?b' ],
    [ '/a?key=x',                 '/a' ],       # a token's name somewhere
    [ '/a?stream=&x',             '/a?x' ],
    [ '/a?lastEventId=&streams',  '/a?streams' ],
    [ '/a?LASTEVENTID=&Stream',   '/a' ],
    [ '/path?x=1&stream&access_token=x', '/api/stream?x=1' ],
    [ '/re/x?y',                  '/again/b%20c?c=d&y' ],
    [ '/re/x?y&stream=',          '/again/b%20c?c=d&y' ],
    [ '/in',                      '/again/%C3%A9?x=1' ],
    [ '/named/%41?x',             '/named/%41?x' ],
    [ '/auth?key=' . $key->token . '&x=1', '/auth?x=1' ],
    [ '/auth?x=1&access_token=y', '/auth?x=1' ],
);
is uri($$_[0]), $$_[1], $$_[0] for @cases;

# what would break the request line
is uri('/var?x=a%20b'), '/a/a%20b//var?x=a%20b', 'encoded';
is uri('/var/%0d%0aX:y?x=1', accept => undef), 502,
    'decoded to the end of a line';
is uri('/var/a%20b?x=1', accept => undef), 502, 'to a space';
like $ng->log, qr/the path for the machine has a space or a control char/,
    'told in the log';

done_testing;
