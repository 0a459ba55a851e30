# Reloads that change what streams are made of: one that runs keeps what it
# began with, and is found again as long as the zone is the same.

use strict;
use warnings;

use Test::More;

use FindBin;
use lib "$FindBin::Bin/lib";

use OA::Agent;
use OA::Client qw(http_request);
use OA::Events;
use OA::Nginx;
use OA::Util qw(wait_for);

my $agent = OA::Agent->new(sub {
    my ($c, $request) = @_;
    $c->head;
    for my $n (1 .. 20) {
        $c->event("data: $n\n\n");
        $c->wait('go');
    }
    $c->event("data: [DONE]\n\n");
    $c->end;
});

# nobody listens there
my $other = OA::Agent->new(sub { });
$other->refuse;

sub conf {
    my ($url, %o) = @_;
    my $zone = $o{zone} // '4m';
    my $what = $url ? "oa_sse_pass $url;" : 'return 200 "no stream";';
    return <<"CONF";
    oa_zone $zone;
    server {
        listen 127.0.0.1:%%PORT_0%%;
        location / { $what @{[ $o{more} // '' ]} }
    }
CONF
}

my $ng = OA::Nginx->new(workers => 2, http => conf($agent->url));
my @modules = grep { -e $ng->module_path($_) } @OA::Nginx::MODULES;

my $stream = OA::Events->new($ng->port, '/');
my $read = 1;
is $stream->next->{data}, 1, 'a stream';

sub resume {
    return OA::Events->new($ng->port, '/', timeout => 10,
        headers => [ 'Last-Event-ID' => $stream->last_id ]);
}

sub goes_on {
    my ($what) = @_;
    $agent->say('go');
    is $stream->next->{data}, ++$read, "$what: it goes on";
}

sub becomes {
    my ($what, $http, @modules) = @_;
    $ng->write_conf(http => $http, @modules ? (modules => \@modules) : ());
    ok $ng->reload, $what;
    my $back = resume();
    goes_on($what);
    return $back;
}

# settings

my $back = becomes('settings', conf($other->url, more =>
    'oa_sse_heartbeat 100ms; oa_sse_idle_timeout 100ms; oa_sse_buffer 8k;
     oa_sse_max_duration 100ms; oa_sse_keep 100ms; oa_sse_dialect raw;'));
is $back->next->{data}, $read, 'who comes back reads it';
ok $back->wait_comment, 'with a heartbeat as it is now';
is scalar($stream->comments), 0, 'the other one has none';
is scalar($agent->connections), 1, 'the stream has its machine';

# without streams, then without their module, and back

for my $step ([ 'no oa_sse_pass', conf(), @modules ],
              [ 'no module', conf(), grep { !/sse/ } @modules ])
{
    my $back = becomes(@$step);
    is $back->status, 200, 'no stream is there';
    $back->wait_end;
    is $back->raw, 'no stream', 'of course';
    is scalar($agent->closed), 0, 'the machine has its client';

    $back = becomes("$step->[0], and back", conf($agent->url), @modules);
    is $back->next->{data}, $read, 'it is found again';
}

# another zone is empty

$back = becomes('another zone', conf($agent->url, zone => '5m'));
my @all = $back->all;
is scalar(@all), 2, 'who comes back';
is $all[0]{event}, 'gap', 'is told of a gap';
like $all[0]{data}, qr/^\{"from":@{[ $read ]}\}\z/, 'from here on';
like $all[1]{data}, qr/"code":"stream_lost"/, 'and that it was lost';
is $back->how_ended, 'complete', 'properly';
is http_request($ng->port, '/', headers => [ Accept => 'text/event-stream',
    'Last-Event-ID' => $back->last_id ])->status, 204, 'once';

goes_on('and in the old worker');
$agent->say('go') for $read .. 20;
is +($stream->rest)[-1]{data}, '[DONE]', 'to its end';
is $stream->how_ended, 'complete', 'whole';

ok +(wait_for { !$ng->old_worker_pids } 10), 'old workers are gone';

done_testing;
