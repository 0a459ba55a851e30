# Much at once, and a buffer that holds little of it: who reads along gets
# all of it, who comes later finds a gap.

use strict;
use warnings;

use JSON::PP qw(decode_json);
use Test::More;

use FindBin;
use lib "$FindBin::Bin/lib";

use OA::Agent;
use OA::Ends qw(listen_both clients ended_as);
use OA::Events;
use OA::Nginx;

# less than what sockets hold
my %parts = (
    '/small' => [ 1 .. 700 ],
    '/page'  => [ map { $_ x 4000 } 'a' .. 'm' ],
    '/large' => [ map { $_ x 9000 } 'a' .. 'f' ],
    '/mixed' => [ map { $_ x (1000 * ($_ % 5) + 1) } 0 .. 9, 0 .. 9 ],
);
my $agent = OA::Agent->new(sub {
    my ($c, $request) = @_;
    $c->head(hold => 1);
    $c->event(join '', map { "data: $_\n\n" } @{ $parts{$request->path} });
    $c->end;
});

my $ng = OA::Nginx->new(http => <<"CONF");
    oa_sse_buffer 8k;
    server {
        @{[ listen_both() ]}
        location / { oa_sse_pass @{[ $agent->url ]}; }
    }
CONF

for my $path (sort keys %parts) {
    my @parts = @{ $parts{$path} };
    for my $s (clients($ng, $path)) {
        ended_as($s, $path, events => \@parts, code => 'done');

        my $name = $s->header('OA-Stream');
        my ($gap, @rest) = OA::Events->new($ng->port, "$path?stream=$name")
            ->all;
        is $gap->{event}, 'gap', "$path: a gap";
        my ($from, $to) = @{ decode_json($gap->{data}) }{qw(from to)};
        is $from, 1, "$path: from the first";
        is $gap->{id}, "$name-$to", "$path: to its id";
        is_deeply [ map { $_->{data} } @rest ], [ @parts[$to .. $#parts],
            '[DONE]' ], "$path: then the rest";
    }
}

done_testing;
