# A stream that has ended is kept for oa_sse_keep.  Then it is not there any
# more: who was amid its events is told that it is lost, once.

use strict;
use warnings;

use Test::More;
use Time::HiRes qw(time);

use FindBin;
use lib "$FindBin::Bin/lib";
use OA::Agent;
use OA::Client qw(http_get);
use OA::Events;
use OA::Nginx;
use OA::Util qw(wait_for);

my $agent = OA::Agent->new(sub {
    my ($c, $request) = @_;
    return $c->head(status => 500) if $request->path =~ /fail/;
    $c->head;
    $c->event("data: $_\n\n") for 1 .. 3;
    $c->end;
});

my $ng = OA::Nginx->new(
    workers => 2,
    http    => <<"CONF");
    server {
        listen 127.0.0.1:%%PORT_0%%;
        location / {
            oa_sse_keep 600ms;
            oa_sse_pass @{[ $agent->url ]};
        }
    }
CONF

my $max = '9223372036854775807';

sub ask {
    my ($id, %o) = @_;
    return OA::Events->new($ng->port, '/', %o,
                           headers => [ 'Last-Event-ID' => $id ]);
}

sub data { join ' ', map { $_->{data} } $_[0]->rest }

sub is_lost {
    my ($s, $name, $from) = @_;
    is $s->status, 200, "after $from: an answer";
    is $s->header('OA-Stream'), $name, 'of that name';
    my ($gap, $end, @more) = $s->all;
    is "$gap->{event} $gap->{data}", "gap {\"from\":$from}",
        'a gap that nobody knows the end of';
    is $end->{data}, '{"error":"The stream was lost.","code":"stream_lost"}',
        'an end';
    is $end->{id}, "$name-$max", 'with the last of all ids';
    is @more, 0, 'and no more';
    is $s->wait_end, 'complete', 'well ended';
}

for my $case ([ '/', qr/^1 2 3 \[DONE\]\z/, 4 ], [ '/fail', qr/machine_status/, 1 ]) {
    my ($path, $told, $last) = @$case;
    $ng->expect_log(qr/answered with status 500/);

    my $s = OA::Events->new($ng->port, $path);
    my $name = $s->header('OA-Stream');
    like data($s), $told, "$path: a stream";
    my $ended = time;

    # to look at it keeps nothing
    my $kept = 0;
    ok +(wait_for { ask("$name-$last")->status != 204 or !++$kept } 10),
        'is forgotten';
    cmp_ok time - $ended, '>=', 0.55, 'not before its time';
    cmp_ok $kept, '>', 0, 'all was told until then';

    is_lost(ask("$name-$_"), $name, $_ + 1) for 1, $last, $last + 1;
    is_lost(ask($name), $name, 1);
    is ask("$name-$max")->status, 204, 'who was told has all';

    for my $r (OA::Events->new($ng->port, "/?stream=$name"),
               ask("$name-1", accept => undef),
               ask("$name-1", accept => '*/*'))
    {
        is $r->status, 404, 'otherwise it is not found';
        $r->wait_end;
        like $r->raw, qr/"code":"stream_not_found"/, 'and says so';
    }
    is ask("$name-$max", method => 'DELETE')->status, 404, 'nor stopped';
}

# while it is there
my $s = OA::Events->new($ng->port, '/');
my $name = $s->header('OA-Stream');
$s->wait_end;
for my $id ("$name-4", "$name-5", "$name-$max") {
    is ask($id)->status, { 4 => 204, 5 => 404, 7 => 204 }->{ substr $id, -1 },
        "$id of one that is kept";
}
is data(ask($name)), '1 2 3 [DONE]', 'from the beginning';

done_testing;
