# No state crosses from one request to another: CVE-2025-64527 and its like.
# Each sees its own token, whatever others bring at the same time.

use strict;
use warnings;

use Test::More;

use FindBin;
use lib "$FindBin::Bin/lib";

use OA::Client qw(http_many request_bytes);
use OA::Jwks;
use OA::Nginx;
use OA::Token qw(key jwks uuid);
use OA::Util qw(wait_for slurp);

my %issuer = map { $_ => "https://$_.example/auth/v1" } qw(a b c);
my %key = map { $_ => key('ES256', kid => $_) } qw(a b new);
my $jwks = OA::Jwks->new(keys => [ $key{a} ]);

my $ng = OA::Nginx->new(
    workers => 2, connections => 2000,
    files => { 'b.json' => jwks($key{b}) },
    http  => <<"CONF");
    oa_issuer a {
        jwks_uri @{[ $jwks->url ]}; issuer $issuer{a}; audience authenticated;
    }
    oa_issuer b {
        jwks_file b.json; issuer $issuer{b}; audience authenticated;
    }
    log_format who '\$arg_n <\$oa_auth_sub> <\$oa_auth_claim_email>';
    server {
        listen 127.0.0.1:%%PORT_0%%;
        access_log access.log who;
        add_header X-Error \$oa_auth_error always;
        add_header X-Sub \$oa_auth_sub always;
        add_header X-Email \$oa_auth_claim_email always;
        add_header X-Issuer \$oa_auth_issuer always;
        # others are judged while this one waits for its answer
        proxy_pass_request_headers off;
        proxy_set_header X-User \$oa_auth_sub;
        location /a { oa_auth a; proxy_pass http://127.0.0.1:%%PORT_1%%; }
        location /b { oa_auth b; proxy_pass http://127.0.0.1:%%PORT_1%%; }
        location /ab {
            oa_auth a b optional; proxy_pass http://127.0.0.1:%%PORT_1%%;
        }
        location /off { proxy_pass http://127.0.0.1:%%PORT_1%%; }
    }
    server {
        listen 127.0.0.1:%%PORT_1%%;
        return 200 "<\$http_x_user>";
    }
CONF

ok $ng->wait_log(qr/1 keys read from/), 'keys are there';

# Many at once: good ones of both, bad ones, none, in all locations; those of
# a key that is not known yet wait in the midst of it.

my (@requests, @want, %wanted);
my $n = $ng->sanitized ? 120 : 400;

for my $i (1 .. $n) {
    my $kind = qw(a b none bad foreign new old)[$i % 7];
    my $path = qw(/a /b /ab /off)[int rand 4];
    my ($sub, $email) = (uuid(), "u$i\@example.com");
    my $by = $kind =~ /^(?:b|foreign)$/ ? 'b' : $kind eq 'new' ? 'new' : 'a';
    my $iss = $by eq 'b' && $kind ne 'foreign' ? 'b' : 'a';
    my $token = $key{$by}->token(
        { iss => $issuer{$iss}, sub => $sub, email => $email,
          $kind eq 'old' ? (exp => 1000) : () });
    $token =~ s/.(..)\z/_$1/ if $kind eq 'bad';
    $token =~ s/\.(.)(.)/.$2$1/ if $kind eq 'bad';
    $token = undef if $kind eq 'none';

    my $good = $kind eq 'a' && $path ne '/b' || $kind eq 'b' && $path ne '/a'
               || $kind eq 'new' && $path ne '/b';
    my $status = $path eq '/off' ? 200
                 : $kind eq 'none' ? ($path eq '/ab' ? 200 : 401)
                 : $good ? 200 : 401;
    my $seen = $good && $path ne '/off';

    push @requests, request_bytes("$path?n=$i", host => 'x', close => 1,
        headers => [ defined $token ? (Authorization => "Bearer $token")
                                    : () ]);
    push @want, join ' ', $status, $seen ? ($sub, $email, $iss) : ('') x 3,
                          $status == 401 ? () : $seen ? "<$sub>" : '<>';
    $wanted{$i} = $seen ? "<$sub> <$email>" : '<> <>';
    $wanted{$i} = '<-> <->' if $path eq '/off';
}

$jwks->publish($key{a}, $key{new});

for my $round (1 .. 3) {
    my @r = http_many($ng->port, \@requests, timeout => 30);
    my @got = map {
        my $r = $_;
        $r ? join ' ', $r->status, (map { $r->header("X-$_") // '' }
                                    qw(Sub Email Issuer)),
                       $r->status == 200 ? $r->body : ()
           : 'nothing';
    } @r;
    my @wrong = grep { $got[$_] ne $want[$_] } 0 .. $#want;
    is @wrong, 0, "round $round: $n requests at once, each by its own token";
    diag "request $_: $got[$_], expected $want[$_]"
        for @wrong > 5 ? @wrong[0 .. 4] : @wrong;
}

my @lines;
wait_for { (@lines = split /\n/, slurp($ng->path('access.log'))) == 3 * $n };
is @lines, 3 * $n, 'all are in the access log';
is join("\n", grep {
    my ($i, $seen) = /^(\d+) (.*)/;
    $seen ne $wanted{$i};
} @lines), '', 'each with its own user';

# One after the other on a connection, and pipelined.

my $client = OA::Client->new($ng->port);
my @users = map { [ uuid(), "k$_\@example.com" ] } 0 .. 2;
my @tokens = map { $key{b}->token({ iss => $issuer{b}, sub => $_->[0],
                                    email => $_->[1] }) } @users;
my @sequence = map { int rand 4 } 1 .. 40;
my $bytes = join '', map {
    request_bytes('/ab', host => 'x', headers => [
        $_ < 3 ? (Authorization => "Bearer $tokens[$_]") : () ]);
} @sequence;
$client->send($bytes);
my @wrong = grep {
    my $r = $client->response;
    my $user = $_ < 3 ? $users[$_][0] : '';
    ($r->header('X-Sub') // '') ne $user;
} @sequence;
is @wrong, 0, 'pipelined requests on one connection, with and without a token';

done_testing;
