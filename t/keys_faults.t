# What is no good answer changes nothing: the old keys stay, and no key of it
# is taken.

use strict;
use warnings;

use Test::More;

use FindBin;
use lib "$FindBin::Bin/lib";

use OA::Client qw(http_get);
use OA::Jwks;
use OA::Nginx;
use OA::Token qw(key jwks $ISSUER);
use OA::Util qw(wait_for);

my $key = key('ES256', kid => 'k1');
my $new = key('ES256', kid => 'k2');
my $jwks = OA::Jwks->new(keys => [ $key ]);
my $other = OA::Jwks->new(keys => [ $new ]);
my $good = jwks($new);

my $ng = OA::Nginx->new(workers => 2, http => <<"CONF");
    oa_issuer t {
        jwks_uri @{[ $jwks->url ]};
        issuer $ISSUER; audience authenticated;
        refresh 1s; max_stale 10m;
    }
    server {
        listen 127.0.0.1:%%PORT_0%% reuseport;
        location / {
            oa_auth t;
            add_header X-Error \$oa_auth_error always;
            empty_gif;
        }
    }
CONF

sub told {
    my ($key) = @_;
    my $r = http_get($ng->port, '/',
                     headers => [ Authorization => 'Bearer ' . $key->token ]);
    return $r->status . ($r->header('X-Error') // '');
}

ok +(wait_for { told($key) eq '200' }), 'fetched';
is told($new), '401key', 'the other key is not known';  # nor asked for again

my @faults = (
    [ 'status 500', { status => 500 }, qr/status 500/ ],
    [ 'status 404', { status => 404 }, qr/status 404/ ],
    [ 'status 203', { status => 203 }, qr/status 203/ ],
    [ 'a redirect', { status => 302, headers => [ Location => $other->url ] },
      qr/status 302/ ],
    [ 'a page', { type => 'text/html' }, qr{application/json} ],
    [ 'a type that begins alike', { type => 'application/jsonx' },
      qr{application/json} ],
    [ 'a text', { type => 'text/plain; application/json' },
      qr{application/json} ],
    [ 'cut short', { truncate => 1 }, qr/\S/ ],
    [ 'cut short in its chunks', { truncate => 1, chunked => 1 }, qr/\S/ ],
    [ 'half of it', { body => substr $good, 0, length($good) / 2 }, qr/JSON/ ],
    [ 'more behind it', { body => "$good $good" }, qr/JSON/ ],
    [ 'a list', { body => $good =~ s/^\{"keys":(.*)\}$/$1/sr }, qr/no object/ ],
    [ 'a duplicate name', { body => '{"keys":[],' . substr $good, 1 },
      qr/duplicate/ ],
    [ 'nothing', { body => '' }, qr/\S/ ],
    [ 'too many keys', { body => '{"keys":[' . join(',', ('{}') x 65) . ']}' },
      qr/too many keys/ ],
    [ 'over 64 KiB', { body => $good . ' ' x 65536 }, qr/\S/ ],
    [ 'no end', { huge => 1 }, qr/\S/ ],
    [ 'no HTTP', { garbage => "\0\1\2\r\n\r\n" }, qr/\S/ ],
    [ 'a reset', { reset => 1 }, qr/\S/ ],
    [ 'too slow', { slow => 20 }, qr/\S/ ],
    [ 'no answer', { silent => 1 }, qr/\S/ ],
);

for (@faults) {
    my ($name, $fault, $why) = @$_;
    my $from = length $ng->log;
    my $failed = qr/"t": fetching keys from "http\S*" failed: (.*); what was/;

    $jwks->body($good);
    $jwks->fault(%$fault);
    ok +(wait_for { substr($ng->log, $from) =~ $failed } 15), $name;
    my ($said) = substr($ng->log, $from) =~ $failed;
    like $said // '', $why, 'is told: ' . ($said // 'not');
    is told($key), '200', 'the old key stays';
    is told($new), '401key', 'the new one is not taken';

    # a good one again, before the next fault
    $jwks->publish($key);
    $jwks->fault();
    $from = length $ng->log;
    ok +(wait_for { substr($ng->log, $from) =~ /again after/ } 15),
        'it comes back';
}

is $other->count, 0, 'no redirect was followed';
is $ng->log_count(qr/keys read from/), 1, 'no set but the first was taken';

$jwks->body($good);
ok +(wait_for { told($new) eq '200' } 10), 'the good one is';

done_testing;
