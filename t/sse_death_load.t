# Workers are killed at any instruction while streams run in all of them: each
# client sees its own events, in order, a gap where some are missing, and one
# end; and nothing is left of the dead.

use strict;
use warnings;

use Digest::MD5 qw(md5_hex);
use JSON::PP qw(encode_json decode_json);
use POSIX ();
use Test::More;
use Time::HiRes qw(time sleep);

use FindBin;
use lib "$FindBin::Bin/lib";

use OA::Agent;
use OA::Client qw(http_request);
use OA::Events;
use OA::Nginx;
use OA::Token qw(key jwks $ISSUER);
use OA::Util qw(wait_for reap slurp spew at_exit);

my $CLIENTS = 12;
my $KILLS = $ENV{OA_KILLS} // 12;
my $EVENTS = 60;
my $MAX = 16;

# what an event of a stream is, known to both sides

sub event {
    my ($path, $n) = @_;
    my $digest = md5_hex("$path $n");
    return "$path $n " . $digest x (1 + hex(substr $digest, 0, 2) % 100);
}

my $agent = OA::Agent->new(sub {
    my ($c, $request) = @_;
    my $path = $request->path;
    if ($path eq '/stay') {
        $c->head;
        $c->event("data: 1\n\n");
        $c->stall;
    }
    $c->head(hold => 1);
    for my $n (1 .. $EVENTS) {
        $c->event('data: ' . event($path, $n) . "\n\n");
        $c->pause(0.01) if $n % 4 == 0;
    }
    $c->event("data: [DONE]\n\n");
    $c->end;
});

my $key = key('ES256', kid => 'k1');
my @auth = (Authorization => 'Bearer ' . $key->token);

my $ng = OA::Nginx->new(
    workers => 3,
    files   => { 'keys.json' => jwks($key) },
    http    => <<"CONF");
    oa_zone 2m;
    oa_issuer t {
        jwks_file keys.json; issuer $ISSUER; audience authenticated;
    }
    server {
        listen 127.0.0.1:%%PORT_0%%;
        oa_auth t;
        location / {
            oa_sse_pass @{[ $agent->url ]};
            oa_sse_buffer 16k;
            oa_sse_max_streams $MAX;
        }
    }
CONF
$ng->expect_log(qr/exited on signal 9/, qr/was locked by/);

my (%count, @wrong, $names);

sub wrong {
    my ($client, $why) = @_;
    push @wrong, "$client->{path}: $why, event $client->{n}";
}

sub get {
    my ($path, @headers) = @_;
    return OA::Events->new($ng->port, $path, headers => [ @auth, @headers ]);
}

sub begin {
    my ($client) = @_;
    @$client{qw(path n told over)} = ('/s' . ++$names, 0, 0, undef);
    @$client{qw(stream moved)} = (get($client->{path}), time);
}

# The same in whatever worker; without an event by the name of the stream.
sub resume {
    my ($client, $id) = @_;
    $count{resumed}++;
    @$client{qw(told stream)} = (0, get($client->{path},
                                        'Last-Event-ID' => $id));
    $client->{id} = $id;
}

sub take {
    my ($client, $event) = @_;
    my ($data, $n) = ($event->{data}, $client->{n});

    return wrong($client, "\"$data\" behind the end") if $client->{over};

    if ($event->{event} eq 'gap') {
        my ($from, $to) = $data =~ /^\{"from":(\d+)(?:,"to":(\d+))?\}\z/;
        wrong($client, "gap $data") if ($from // 0) != $n + 1;
        $count{gap}++;
        $client->{n} = $to // $n;
    } elsif ($data =~ /"code":"(\w+)"/) {
        wrong($client, "end $1") if $1 ne 'stream_lost';
        $client->{over} = $1;
    } elsif ($data eq '[DONE]') {
        wrong($client, 'done too early') if $n != $EVENTS;
        $client->{over} = 'done';
    } else {
        $client->{n} = ++$n;
        wrong($client, "\"$data\"") if $data ne event($client->{path}, $n);
        wrong($client, "id $event->{id}") if $event->{id} !~ /-$n\z/;
        $count{events}++;
    }
}

sub step {
    my ($client, $again) = @_;
    my $stream = $client->{stream};
    my $how = $stream->how_ended;
    my @events = $stream->seen;

    if (@events > $client->{told}) {
        take($client, $_) for @events[ $client->{told} .. $#events ];
        $client->{told} = @events;
        $client->{moved} = time;
    }

    if ($how eq '') {
        wrong($client, 'hangs') if time > $client->{moved} + 15;
        return time <= $client->{moved} + 15;
    }

    my $status = $stream->{head} ? $stream->head->status : 0;
    $count{ $client->{over} // ($status > 200 ? $status : $how) }++;

    if ($client->{over}) {
        if ($how eq 'complete') {
            my $r = http_request($ng->port, '/', timeout => 20, headers => [
                @auth, Accept => 'text/event-stream',
                'Last-Event-ID' => $stream->last_id ]);
            wrong($client, 'then ' . $r->status) # it may have died again
                if $r && $r->status && $r->status != 204;
        }
    } elsif ($how eq 'complete' and $status == 200) {
        wrong($client, 'no end');
    } elsif ($how eq 'cut' || $how eq 'reset' and $status <= 200
             and my $id = $stream->last_id || $client->{id}
                 || $stream->{head} && $stream->header('OA-Stream'))
    {
        resume($client, $id);
        return 1;
    } elsif ($how ne 'cut' and $how ne 'reset'
             and $status !~ /^(?:404|429|503)\z/)
    {
        wrong($client, "$how, status $status: " . ($stream->error // ''));
    }
    $client->{id} = undef;
    return if !$again;
    begin($client);
    return 1;
}

# The clients, in a process of their own, until there is a file that says so.
sub clients {
    my @clients = map { {} } 1 .. $CLIENTS;
    begin($_) for @clients;

    until (-e $ng->path('end') or @wrong) {
        step($_, 1) for @clients;
        sleep 0.002;
    }
    my $end = time + 60;
    while (@clients and time < $end) {
        @clients = grep { step($_, 0) } @clients;
        sleep 0.002;
    }
    wrong($_, 'has no end') for @clients;
}

my $pid = fork // die "fork: $!";
if (!$pid) {
    $SIG{$_} = 'DEFAULT' for qw(INT TERM HUP);
    eval { clients(); 1 } or push @wrong, $@;
    spew($ng->path('report'), encode_json([ \%count, \@wrong ]));
    POSIX::_exit(0);
}
at_exit(sub { kill 'KILL', $pid; local $?; waitpid $pid, 0; '' });

my $start = time;
for (1 .. $KILLS) {
    sleep 0.05 + rand 0.2;
    my $victim = ($ng->worker_pids)[rand 3];
    kill 'KILL', $victim;
    wait_for {
        my @now = $ng->worker_pids;
        @now == 3 and !grep { $_ == $victim } @now;
    } 10;
}
my $took = time - $start;

spew($ng->path('end'), '');
ok defined reap($pid, 90), 'clients are through';
my $report = decode_json(slurp($ng->path('report')));
%count = %{ $report->[0] };
@wrong = @{ $report->[1] };

is "@wrong[0 .. ($#wrong < 4 ? $#wrong : 4)]", '',
    'each saw its own events, and one end';
cmp_ok $count{$_} // 0, '>', 0, "some: $_" for qw(events done stream_lost);
diag sprintf '%d kills in %.1f s, %d in the lock, %d repairs; %s', $KILLS,
    $took, $ng->log_count(qr/was locked by/), $ng->log_count(qr/repairing/),
    join ', ', map { "$count{$_} $_" } sort keys %count;

# all of the user's streams have ended, so there is room for as many as ever

my @stay;
ok +(wait_for {
    my $stream = get('/stay');
    push @stay, $stream if $stream->status == 200 and $stream->next;
    @stay == $MAX;
} 10), 'room for all';
is get('/stay')->status, 429, 'and not one more';

done_testing;
