# Who begins a stream by GET has its name before its first event, as an id to
# come back with; if it is lost then, that is told.

use strict;
use warnings;

use Test::More;

use FindBin;
use lib "$FindBin::Bin/lib";

use JSON::PP;
use OA::Agent;
use OA::Client qw(http_get);
use OA::Events;
use OA::Nginx;
use OA::Util qw(wait_for);

my $agent = OA::Agent->new(sub {
    my ($c) = @_;
    $c->head;
    $c->wait('on');
    $c->event("data: one\n\n");
    $c->end;
});

my $ng = OA::Nginx->new(http => <<"CONF");
    server {
        listen 127.0.0.1:%%PORT_0%%;
        location / { oa_sse_pass @{[ $agent->url ]}; }
    }
CONF

sub back {
    my ($id, $path) = @_;
    return OA::Events->new($ng->port, $path // '/',
                           headers => [ defined $id ? ('Last-Event-ID' => $id)
                                                    : () ]);
}

my $s = OA::Events->new($ng->port, '/');
is $s->status, 200, 'begun';
my $name = $s->header('OA-Stream');
ok +(wait_for { $s->raw eq "id: $name\n\n" } 20), 'its name';
is_deeply [ $s->seen ], [], 'which is no event';
is $s->last_id, $name, 'but an id';
$s->close;

my $t = back($name);
is $t->header('OA-Stream'), $name, 'the same stream';
$agent->say('on');
is_deeply [ map { $_->{data} } $t->all ], [ 'one', '[DONE]' ], 'from its start';
is $agent->requests, 1, 'once';
unlike back("$name-1")->raw, qr/^id: \Q$name\E$/m, 'not behind an event';

my $post = OA::Events->new($ng->port, '/', method => 'POST',
                           body => '{"message":"m"}');
$agent->say('on');
$post->wait_end;
like $post->raw, qr/^id: \S+-1\ndata: one\n/, 'not by POST';
my $plain = OA::Events->new($ng->port, '/', accept => '*/*');
$agent->say('on');
$plain->wait_end;
like $plain->raw, qr/^id: \S+-1\ndata: one\n/, 'nor without Accept';

# a stream that is not there any more
my $gone = 'local-' . '0' x 32;
$s = back($gone);
is $s->status, 200, 'one that is lost';
my ($gap, $end, @more) = $s->all;
is $gap->{event}, 'gap', 'a gap';
is_deeply decode_json($gap->{data}), { from => 1 }, 'of all';
is decode_json($end->{data})->{code}, 'stream_lost', 'the end';
is @more, 0, 'one';
is back($end->{id})->status, 204, 'and then no more';

is back(undef, "/?stream=$gone")->status, 404, 'who asks for it: 404';
is back("${gone}x")->status, 404, 'an ill-formed one';
is http_get($ng->port, '/', headers => [ 'Last-Event-ID' => $gone ])->status,
    404, 'no client of events';

done_testing;
