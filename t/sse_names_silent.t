# An address of the machine that does not answer at all leaves time for the
# next one.

use strict;
use warnings;

use IO::Socket::IP ();
use Test::More;

use FindBin;
use lib "$FindBin::Bin/lib";

use OA::Agent;
use OA::Events;
use OA::Nginx;
use OA::Resolver;

my $agent = OA::Agent->new(sub {
    my ($c) = @_;
    $c->head;
    $c->event("data: one\n\n");
    $c->end;
});

# where nobody accepts, and all places of the queue are taken, the kernel
# drops what asks for one more
my $silent = IO::Socket::IP->new(LocalHost => '127.0.0.2', Listen => 1,
                                 LocalPort => $agent->port) or die $@;
my @queue = map {
    IO::Socket::IP->new(PeerHost => '127.0.0.2', PeerPort => $agent->port,
                        Blocking => 0)
} 1 .. 4;

my $dns = OA::Resolver->new('m.internal' => [ '127.0.0.2', '127.0.0.1' ]);

my $ng = OA::Nginx->new(http => <<"CONF");
    resolver @{[ $dns->address ]};
    server {
        listen 127.0.0.1:%%PORT_0%%;
        location / {
            oa_sse_pass http://m.internal:@{[ $agent->port ]};
        }
    }
CONF

my $given_up = qr/\(127\.0\.0\.2:\d+\) failed \(110: /;

# nginx begins with either of them, by chance

for my $n (1 .. 20) {
    my @events = OA::Events->new($ng->port, '/')->all;
    is $events[0]{data}, 'one', "stream $n reaches the machine";
    last if $ng->log_count($given_up);
}

is $ng->log_count($given_up), 1, 'once by the second address';

done_testing;
