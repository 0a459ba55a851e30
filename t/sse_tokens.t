# Streams by every token that a browser can send; none of them goes on to the
# machine, and each opens the streams of its own user alone.

use strict;
use warnings;

use Test::More;

use FindBin;
use lib "$FindBin::Bin/lib";

use OA::Agent;
use OA::Events;
use OA::Nginx;
use OA::Token qw(key jwks uuid b64 $ISSUER $USER);

my $key = key('ES256', kid => 'k1');
my $supabase = 'sb-abcdefghijklmnopqrst-auth-token';

my $agent = OA::Agent->new(sub {
    my ($c, $request) = @_;
    $c->head;
    $c->event("data: one\n\n");
    $c->wait('on');
    $c->end;
});

my $ng = OA::Nginx->new(
    files => { 'jwks.json' => jwks($key) },
    http => <<"CONF");
    oa_issuer t {
        jwks_file jwks.json;
        issuer $ISSUER; audience authenticated;
    }
    server {
        listen 127.0.0.1:%%PORT_0%%;
        oa_auth t;
        oa_auth_token header cookie query;
        oa_auth_origin http://app.example;
        location / { oa_sse_pass @{[ $agent->url ]}; }
        location = /session { oa_session t; }
    }
CONF

# How to send a token: arguments, headers.
my $session = sub { '{"access_token":"' . $_[0] . '","user":{"id":"u"}}' };
my %ways = (
    header   => sub { ('', Authorization => "Bearer $_[0]") },
    query    => sub { ("access_token=$_[0]&") },
    session  => sub { ('', Cookie => "theme=dark; __Host-t=$_[0]") },
    supabase => sub { ('', Cookie => "$supabase=base64-"
                                     . b64($session->($_[0]))) },
    'in chunks' => sub {
        my $value = 'base64-' . b64($session->($_[0]));
        return ('', Cookie => "$supabase.1=" . substr($value, 100)
                            . "; $supabase.0=" . substr $value, 0, 100);
    },
);

# As a browser does it from a page of the host itself.
sub stream {
    my ($path, $way, $token, @headers) = @_;
    my ($args, @token) = $ways{$way}->($token);
    return OA::Events->new($ng->port, "$path?${args}a=b", host => 'a.example',
        headers => [ 'Sec-Fetch-Site' => 'same-origin', @token, @headers ]);
}

for my $way (sort keys %ways) {
    my $n = $agent->requests;
    my $token = $key->token;
    my $s = stream("/$n", $way, $token);
    is $s->status, 200, "$way: passes";
    is $s->next->{data}, 'one', "$way: an event";

    my $request = ($agent->requests)[-1];
    is $request->path, "/$n?a=b", "$way: no token in the path";
    is_deeply [ grep { /\Q$token\E/ or /cookie|authorization/i }
                map { "@$_" } @{ $request->headers } ], [],
        "$way: nor in a header";

    # the same user, by any other
    my $last = $s->last_id;
    my @others;
    for my $other (sort keys %ways) {
        my $fresh = $key->token({ exp => time + 1000 });
        push @others, stream('/', $other, $fresh, 'Last-Event-ID' => $last);
        is $others[-1]->status, 200, "$way, then $other";
    }

    my $mallory = $key->token({ sub => uuid() });
    is stream('/', $way, $mallory, 'Last-Event-ID' => $last)->status, 404,
        "$way: not another user";
    is stream('/', $way, 'x' . $token, 'Last-Event-ID' => $last)->status, 401,
        "$way: not by a bad token";

    $agent->say('on');
    is_deeply [ map { $_->{data} } $_->rest ], [ '[DONE]' ], "$way: the end"
        for $s, @others;
}

sub open_stream {
    my (@headers) = @_;
    return OA::Events->new($ng->port, '/', host => 'a.example',
                           headers => \@headers);
}

is open_stream()->status, 401, 'nobody';

# A cookie is sent by the browser whoever's page asks.
my $n = $agent->requests;
for my $way ('session', 'supabase', 'in chunks') {
    my (undef, @token) = $ways{$way}->($key->token);
    is open_stream(@token, 'Sec-Fetch-Site' => $_)->status, 401,
        "$way: not for a page that is $_" for 'same-site', 'cross-site';

    push @token, 'Sec-Fetch-Site' => 'same-site';
    is open_stream(@token, Origin => 'http://evil.example')->status, 401,
        "$way: not for one of another origin";
    my $s = open_stream(@token, Origin => 'http://app.example');
    is $s->status, 200, "$way: for one of oa_auth_origin";
    $agent->say('on');
    $s->wait_end;
}
is $agent->requests, $n + 3, 'the machine was asked no more';

done_testing;
