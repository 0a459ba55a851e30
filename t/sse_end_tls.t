# Over TLS the end of a connection must be said: one that is cut does not
# end an answer, but where that has told its own end.

use strict;
use warnings;

use Test::More;

use FindBin;
use lib "$FindBin::Bin/lib";

use OA::Agent;
use OA::Ends qw(listen_both ends_as files);
use OA::Nginx;
use OA::Util qw(wait_for);

my $agent = OA::Agent->new(tls => 1, sub {
    my ($c, $request) = @_;
    my (undef, $how, $then) = split m{/}, $request->path;
    $c->head($how eq 'close' ? (close => 1)
             : $how eq 'length' ? (length => 9) : ());
    $c->event("data: a\n\n");
    return $c->end if $then eq 'end';
    return $c->cut if $then eq 'cut';
    $c->pause(0.05);                    # what was sent must have been read
    $c->reset;
});
my $ca = $agent->ca_file;

my $ng = OA::Nginx->new(http => <<"CONF");
    oa_trusted_certificate $ca;
    server {
        @{[ listen_both() ]}
        location / { oa_sse_pass @{[ $agent->url ]}; }
    }
CONF

my $before = files($ng);

for my $case (
    [ '/chunked/end', 'done' ],
    [ '/chunked/cut', 'stream_truncated' ],
    [ '/chunked/reset', 'stream_truncated' ],
    [ '/length/cut', 'done' ],
    [ '/length/reset', 'done' ],
    [ '/close/end', 'done' ],
    [ '/close/cut', 'stream_truncated' ],
    [ '/close/reset', 'stream_truncated' ],
) {
    my ($path, $code) = @$case;
    ends_as($ng, $path, events => [ 'a' ], code => $code,
            log => $code eq 'done' ? undef : qr/has cut|has closed/);
}

ok +(wait_for { files($ng) <= $before } 5), 'no file is left open';

done_testing;
