# A pooler in transaction mode passes LISTEN on and no notification back: the
# log says so, and changes are read with the beat.

use strict;
use warnings;

use IO::Select;
use IO::Socket::IP;
use POSIX ();
use Test::More;
use Time::HiRes qw(time);

use FindBin;
use lib "$FindBin::Bin/lib";

use OA::Client qw(http_get);
use OA::Nginx;
use OA::Postgres;
use OA::Routes qw(insert_route);
use OA::Util qw(wait_for free_port at_exit);

# Between client and server; drops NotificationResponse.
sub pooler {
    my ($from, $to) = @_;
    my $listen = IO::Socket::IP->new(LocalHost => '127.0.0.1',
        LocalPort => $from, Listen => 16, ReuseAddr => 1) or die "pooler: $@";

    my $pid = fork // die "fork: $!";
    if ($pid) {
        at_exit(sub { kill 'KILL', $pid; waitpid $pid, 0; '' });
        return;
    }

    $SIG{$_} = 'DEFAULT' for qw(INT TERM HUP);
    my $select = IO::Select->new($listen);
    my (%peer, %server, %in);

    while (1) {
        for my $socket ($select->can_read) {
            if ($socket == $listen) {
                my $client = $listen->accept or next;
                my $server = IO::Socket::IP->new(PeerHost => '127.0.0.1',
                                                 PeerPort => $to) or next;
                @peer{ $client, $server } = ($server, $client);
                $server{$server} = 1;
                $select->add($client, $server);
                next;
            }

            my $peer = $peer{$socket} or next;
            $in{$socket} //= '';
            my $n = sysread $socket, $in{$socket}, 65536, length $in{$socket};

            if (!$n) {
                delete @peer{ $socket, $peer };
                $select->remove($socket, $peer);
                close $_ for $socket, $peer;
                next;
            }

            if (!$server{$socket}) {
                syswrite $peer, delete $in{$socket};
                next;
            }

            # a message: type, length, bytes
            while (length $in{$socket} >= 5) {
                my $size = 1 + unpack 'x N', $in{$socket};
                last if length $in{$socket} < $size;
                my $message = substr $in{$socket}, 0, $size, '';
                syswrite $peer, $message if $message !~ /^A/;
            }
        }
    }
}

my $pg = OA::Postgres->new->apply;
insert_route($pg, 'alice', machine => 'm1');

my $port = free_port();
pooler($port, $pg->port);

my $ng = OA::Nginx->new(workers => 2, http => <<"CONF");
    oa_zone 16m;
    oa_postgres '@{[ $pg->conninfo(user => 'oa_router', port => $port,
                                   sslmode => 'disable') ]}';
    oa_routes t { domain openagents.example; source postgres; }
    server {
        listen 127.0.0.1:%%PORT_0%%;
        oa_router t;
        location / { oa_replay; }
    }
CONF

sub target {
    my $r = http_get($ng->port, '/', host => "$_[0].openagents.example");
    return $r->header('fly-replay') // $r->status;
}

ok $ng->wait_log(qr/1 routes read from the database/), 'the first read';

for my $n (2 .. 3) {
    my $start = time;
    $pg->do('UPDATE public.agent_instances SET fly_machine_id = ?', "m$n");
    wait_for { target('alice') eq "app=oa-alice;instance=m$n" } 20;
    is target('alice'), "app=oa-alice;instance=m$n", "change $n is served";
    cmp_ok time - $start, '<', 12, 'within two beats';
}

ok $ng->wait_log(qr/\[error\].*did not hear its own beat.*transaction/, 12),
    'the log says why';
is $ng->log_count(qr/routes read from the database/), 1, 'one full read';

done_testing;
