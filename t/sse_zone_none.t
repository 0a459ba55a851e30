# Nothing in the zone can go any more: no other stream begins, and those that
# run are told their ends even where there is no room for them.

use strict;
use warnings;

use JSON::PP qw(decode_json);
use Test::More;

use FindBin;
use lib "$FindBin::Bin/lib";

use OA::Agent;
use OA::Client qw(http_get);
use OA::Ends qw(ended_as files);
use OA::Events;
use OA::Nginx;
use OA::Util qw(wait_for);

# with its id a page, but for so little that an end does not fit
my $page = 'x' x 3960;
my $agent = OA::Agent->new(sub {
    my ($c, $request) = @_;
    $c->head;
    $c->event("data: $page\n\n");
    $c->wait('go', 60);
    $c->event("data: late\n\n") if $request->path eq '/late';
    $c->end if $request->path ne '/cut';
});

my $ng = OA::Nginx->new(http => <<"CONF");
    oa_zone 1m;
    server {
        listen 127.0.0.1:%%PORT_0%%;
        location / { oa_sse_pass @{[ $agent->url ]}; }
    }
CONF

my $before = files($ng);

my (@s, $refused);
for my $n (1 .. 256) {
    my $path = ('/done', '/cut', '/late')[$n % 3];
    my $s = OA::Events->new($ng->port, $path);
    if ($s->status != 200) {
        $refused = $s;
        last;
    }
    $s->next;
    push @s, [ $path, $s ];
}
cmp_ok scalar @s, '>', 100, 'many streams run: ' . @s;

ok $refused, 'one does not';
is $refused->status, 503, 'its status';
is decode_json($refused->raw)->{code}, 'streams_full', 'its code';
like $refused->header('Retry-After') // '', qr/^\d+\z/, 'when to come back';
is http_get($ng->port, '/done')->status, 503, 'nor does another';
is scalar $agent->requests, scalar @s, 'no machine was asked';
$refused->close;

# each in its turn: what the first gives up, the next one may have
my $truncated = 'stream_truncated';
for my $n (0 .. 8) {
    my ($path, $s) = @{ $s[$n] };
    $agent->say('go', $n + 1);
    my @events = $s->all;
    my $end = pop @events;
    my $name = $s->header('OA-Stream');

    # the late event may be in a gap, the end is not
    my $late = $path eq '/late';
    my $data = join ' ', map { $_->{event} eq 'gap' ? 'gap' : $_->{data} }
                         @events;
    like $data, $late ? qr/^$page (?:gap|late)\z/ : qr/^$page\z/,
        "$path: its events";
    is $end->{id}, "$name-" . ($late ? 3 : 2), "$path: the end's id";
    if ($path eq '/cut') {
        like $end->{data}, qr/"code":"$truncated"/, "$path: an error";
    } else {
        is $end->{data}, '[DONE]', "$path: done";
    }

    is +OA::Events->new($ng->port, '/', headers =>
        [ 'Last-Event-ID' => $end->{id} ])->status, 204, "$path: that is all";
    my @again = OA::Events->new($ng->port, "/?stream=$name")->all;
    is_deeply [ @{ pop @again }{qw(id data)} ], [ @$end{qw(id data)} ],
        "$path: the same end for who comes back";
    is scalar(grep { $_->{id} eq $end->{id} } @again), 0, "$path: once";
}

$agent->stop;
ended_as($_->[1], 'all at once', events => [ $page ], code => $truncated)
    for @s[9 .. $#s];
$_->[1]->close for @s;

$agent->start;
is +OA::Events->new($ng->port, '/done')->status, 200, 'there is room again';
$agent->stop;
ok +(wait_for { files($ng) <= $before } 5), 'no file is left open';

done_testing;
