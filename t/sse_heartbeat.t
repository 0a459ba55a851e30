# Heartbeats: a comment between events, when nothing was written for a while.

use strict;
use warnings;

use List::Util qw(max);
use Test::More;
use Time::HiRes qw(time);

use FindBin;
use lib "$FindBin::Bin/lib";

use OA::Agent;
use OA::Events;
use OA::Nginx;
use OA::Resolver;
use OA::Util qw(wait_for);

my $agent = OA::Agent->new(sub {
    my ($c, $request) = @_;
    my ($what) = $request->path =~ m{^/(\w+)};

    if ($what eq 'late') {              # neither a head nor an event
        $c->wait('head');
        $c->head;
        $c->wait('event');
        $c->event("data: 1\n\n");
        $c->stall;
    }

    $c->head;
    if ($what eq 'busy') {
        for my $n (1 .. 30) {
            $c->event("data: $n\n\n");
            $c->pause(0.02);
        }
    }
    if ($what eq 'half') {              # an event in two halves, and comments
        $c->event("data: 1\n\ndata: 2\nda");
        $c->wait('go');
        $c->event("ta: 3\n\n: of the agent\n\n");
        $c->stall;
    }
    $c->event("data: [DONE]\n\n");
    $c->end;
});

my $dns = OA::Resolver->new('machine.example' => '127.0.0.1');
$dns->silent(1);

my $beat = OA::Nginx->sanitized ? 0.4 : 0.2;
my $ms = 1000 * $beat;

my $listen = OA::Nginx->version < 1.025001
    ? 'listen 127.0.0.1:%%PORT_1%% http2;'
    : 'listen 127.0.0.1:%%PORT_1%%; http2 on;';

my $ng = OA::Nginx->new(
    http => join '', <<"CONF", map { <<"CONF" }
    oa_zone 4m;
    resolver @{[ $dns->address ]};
    oa_sse_heartbeat ${ms}ms;
CONF
    server {
        $_
        location / { oa_sse_pass @{[ $agent->url ]}; }
        location /name { oa_sse_pass http://machine.example:1; }
        location /never {
            oa_sse_pass @{[ $agent->url ]};
            oa_sse_heartbeat 1h;
        }
    }
CONF
    'listen 127.0.0.1:%%PORT_0%%;', $listen);

sub get {
    my ($path, %o) = @_;
    return OA::Events->new($ng->port($o{http2} ? 1 : 0), $path, %o);
}

# How long it took until the next one.
sub beat {
    my ($stream, $since) = @_;
    return $stream->wait_comment(5)->{time} - $since;
}

# before the first event: when the machine is sought, asked, and has answered

my $start = time;
my %streams = (name => get('/name'), late => get('/late'),
               http2 => get('/late/2', http2 => 1));
for my $what (sort keys %streams) {
    my $stream = $streams{$what};
    for my $n (1 .. 3) {
        cmp_ok beat($stream, $start), '<', $n * $beat + 1, "$what: beat $n";
    }
    like $stream->raw, qr/^id: [\w-]+\n\n(?::\n\n)+\z/,
        'nothing else behind its name';
    my $n = $stream->comments;
    cmp_ok $n, '<=', (time - $start) / $beat, 'not more often than was said';
}

$agent->say('head', '/late');
my $late = $streams{late};
ok $late->wait_comment, 'with a head of the machine, too';
$agent->say('event', '/late');
my $event = $late->next;
cmp_ok beat($late, $event->{time}), '>', $beat - 0.05,
    'silence counts from the last event';

# not while events flow

my $busy = get('/busy');
my @all = $busy->all;
is @all, 31, 'many events';
my $pause = max(map { $all[$_]{time} - $all[$_ - 1]{time} } 1 .. $#all);
ok $pause > $beat / 2 || !$busy->comments, 'no beat between them';
is $busy->how_ended, 'complete', 'and none behind their end';

# between events only

my $half = get('/half');
$half->next;
my $back = get('/half', headers => [ 'Last-Event-ID' => $half->last_id ]);
for my $reader ($half, $back) {
    $reader->wait_comment for 1 .. 2;
}
$agent->say('go');
for my $reader ($half, $back) {
    is $reader->next->{data}, "2\n3", 'no beat within an event';
    $reader->wait_comment;
    is $reader->raw =~ /of the agent/, '', 'comments of the agent are not told';
}
is join('|', grep {
        !/^(?:id: \S+(?:\ndata: 1|\ndata: 2\ndata: 3)?|:)\z/
    } split /\n\n/, $half->raw), '', 'each stands alone';

# not for whoever is held: nothing comes before the status

my $held = get('/late/held', accept => undef);
my $never = get('/never');
select undef, undef, undef, 3 * $beat;
$held->seen;
ok !$held->{head}, 'nothing for who is held';
is scalar($never->comments), 0, 'nor by another setting';
$agent->say('head', '/late/held');
$agent->say('event', '/late/held');
is $held->next->{data}, 1, 'then comes its event';
ok $held->wait_comment, 'and beats behind it';

done_testing;
