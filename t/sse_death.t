# A worker is killed: its streams are lost, and nobody waits for them in vain;
# its readers find what there was in another one.

use strict;
use warnings;

use Test::More;
use Time::HiRes qw(time);

use FindBin;
use lib "$FindBin::Bin/lib";

use OA::Agent;
use OA::Client qw(http_request request_bytes);
use OA::Events;
use OA::Nginx;
use OA::Util qw(wait_for);

my $agent = OA::Agent->new(sub {
    my ($c, $request) = @_;
    $c->stall if $request->path eq '/mute';
    $c->head;
    $c->event("data: $_\n\n") for 1 .. 3;
    for my $n (4 .. 9) {
        $c->wait('go');
        $c->event("data: $n\n\n");
    }
    $c->stall;
});

my $ng = OA::Nginx->new(workers => 3, http => <<"CONF");
    oa_zone 4m;
    server {
        listen 127.0.0.1:%%PORT_0%%;
        location / {
            oa_sse_pass @{[ $agent->url ]};
            add_header X-Pid \$pid;
        }
        location /pid { return 200 \$pid; }
    }
CONF

sub get {
    my ($path, $id, %o) = @_;
    return OA::Events->new($ng->port, $path, %o,
        headers => [ $id ? ('Last-Event-ID' => $id) : () ]);
}

sub pid { $_[0]->header('X-Pid') }

# A reader of a stream that is, or is not, in a worker.
sub reader {
    my ($in, $pid, @how) = @_;
    my $reader;
    wait_for {
        $reader = get(@how);
        (pid($reader) == $pid) == $in;
    } 10 or die 'no such worker';
    return $reader;
}

sub data { join ' ', map { $_->{data} } @_ }

sub kill_pid {
    my ($pid) = @_;
    my ($n) = grep { ($ng->worker_pids)[$_] == $pid } 0 .. 2;
    $ng->kill_worker($n);
}

# What is said of a stream that was lost behind an event.
sub lost {
    my ($stream, $behind, @events) = @_;
    my $from = $behind + 1;
    is $events[0]{event}, 'gap', 'a gap';
    is $events[0]{data}, qq({"from":$from}), "from $from on";
    like $events[1]{data}, qr/^\{"error":"[^"]+","code":"stream_lost"\}\z/,
        'one end';
    is $events[1]{id}, $stream->header('OA-Stream') . '-9223372036854775807',
        'whose id is the last there can be';
    is @events, 2, 'no more';
    is $stream->how_ended, 'complete', 'properly';
    is http_request($ng->port, '/', headers => [ Accept => 'text/event-stream',
        'Last-Event-ID' => $stream->last_id ])->status, 204, 'then 204';
}

# a reader dies: the stream does not mind

my $own = get('/');
my $writer = pid($own);
$own->next for 1 .. 3;
my $id = $own->last_id;

my $far = reader(0, $writer, '/', $id);
kill_pid(pid($far));
is $far->wait_end, 'cut', 'a reader with its worker';
$agent->say('go', '/');
is data($own->next), 4, 'the stream goes on';

# readers in other workers, of this stream and of one without an event

$far = reader(0, $writer, '/', $id);
is data($far->next), 4, 'who comes back reads on';
my $late = reader(0, $writer, '/', $id =~ s/3\z/1/r);

my $mute = reader(1, $writer, '/mute');
my $name = $mute->header('OA-Stream');
my $silent = reader(0, $writer, '/', $name);
my $held;
wait_for {
    $held = OA::Client->new($ng->port);
    $held->get('/pid')->body ne $writer;
} 10;
$held->send(request_bytes("/?stream=$name", host => 'localhost'));

# the writer dies

my $start = time;
kill_pid($writer);
is $own->wait_end, 'cut', 'the stream dies, its own client is cut off';

my @rest = $far->rest;
cmp_ok $rest[-1]{time} - $start, '<', $ng->sanitized ? 5 : 1.5,
    'another reader does not wait';
lost($far, 4, @rest);

@rest = $late->rest;
is data(splice @rest, 0, 3), '2 3 4', 'one that was late: the rest';
lost($late, 4, @rest);

my $back = get('/', $id);
@rest = $back->rest;
is data(shift @rest), 4, 'its own comes back: the rest';
lost($back, 4, @rest);

$back = get('/', $own->last_id);
lost($back, 4, $back->rest);

# nothing was there

lost($silent, 0, $silent->rest);
$back = get('/', $name);
lost($back, 0, $back->rest);

my $r = $held->response;
is $r->status, 502, 'who is held gets the failure';
like $r->body, qr/"code":"stream_lost"/, 'as a problem';

ok $agent->wait_closed(2), 'the machines know';

# and all goes on

my $next = get('/');
$next->next for 1 .. 3;
$agent->say('go', '/');
is data($next->next), 4, 'another stream';

done_testing;
