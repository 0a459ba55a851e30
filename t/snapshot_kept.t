# The snapshot: at most a second behind, mode 0600, written beside and renamed,
# without following a link.

use strict;
use warnings;

use JSON::PP;
use Test::More;
use Time::HiRes qw(time);

use FindBin;
use lib "$FindBin::Bin/lib";

use OA::Client qw(http_get);
use OA::Nginx;
use OA::Postgres;
use OA::Routes qw(insert_route);
use OA::Util qw(wait_for slurp spew);

my $pg = OA::Postgres->new->apply;
insert_route($pg, 'alice', machine => 'm1');
insert_route($pg, 'bob', machine => 'm1', status => 'disabled',
             access => 'owner', region => undef);
insert_route($pg, 'new', machine => undef, app => undef,
             status => 'provisioning');

my $ng = OA::Nginx->new(workers => 2, start => 0, http => <<"CONF");
    oa_zone 16m;
    oa_postgres '@{[ $pg->conninfo(user => 'oa_router') ]}';
    oa_routes t {
        domain openagents.example; source postgres;
        snapshot %%DIR%%/routes;
    }
    server {
        listen 127.0.0.1:%%PORT_0%%;
        oa_router t;
        location / { oa_replay; }
    }
CONF

my $path = $ng->path('routes');

# somebody else's file, with links to it where ours will be

spew($ng->path('victim'), "precious\n");
chmod 0666, $ng->path('victim');
symlink $ng->path('victim'), $path or die $!;
symlink $ng->path('victim'), "$path.tmp" or die $!;

sub snapshot {
    my $json = eval { JSON::PP::decode_json(slurp($path)) } or return {};
    return { map { $_->{subdomain} => $_ } @{ $json->{routes} } };
}

sub machine { (snapshot()->{ $_[0] } // {})->{machine} // '' }

$ng->start;
ok $ng->wait_log(qr/\[error\].*no snapshot, open/),
    'a link is not read, and said to be there';
ok $ng->wait_log(qr/3 routes read from the database/), 'the first read';

my $start = time;
ok +(wait_for { machine('alice') eq 'm1' } 5), 'it is written';
cmp_ok time - $start, '<', 1, 'within a second' unless $ng->sanitized;

ok !-l $path, 'in the place of the link';
is slurp($ng->path('victim')), "precious\n", 'which was not followed';
is sprintf('%o', (stat $path)[2] & 07777), '600', 'for its owner alone';
is +(getpwuid +(stat _)[4])[0], $> == 0 ? 'nobody' : (getpwuid $>)[0],
    'which is the worker';

my $of = snapshot();
is join(' ', sort keys %$of), 'alice bob new', 'all routes';
my %want = %{ $pg->dbh->selectall_hashref(
    'SELECT subdomain, route_id, user_id, agent_id, app, machine, region,
            status, access FROM oa.routes', 'subdomain') };
for my $name (sort keys %want) {
    my %got = %{ $of->{$name} };
    delete @{ $want{$name} }{ grep { !defined $want{$name}{$_} }
                              keys %{ $want{$name} } };
    delete @got{ grep { !defined $got{$_} or !exists $want{$name}{$_} }
                 keys %got };
    is_deeply \%got, $want{$name}, "the row of $name";
}

# changes

for my $n (2 .. 6) {
    $pg->do(q{UPDATE public.agent_instances SET fly_machine_id = ?
              WHERE subdomain = 'alice'}, "m$n");
    $start = time;
    ok +(wait_for { machine('alice') eq "m$n" } 5), "change $n is in it";
    cmp_ok time - $start, '<', 1.1, 'within a second' unless $ng->sanitized;
}

$pg->do(q{DELETE FROM public.agent_instances WHERE subdomain = 'bob'});
ok +(wait_for { !snapshot()->{bob} and snapshot()->{alice} } 5),
    'what is deleted leaves it';

# never half a file: whoever opens it any time gets whole JSON

my $broken = 0;
for my $n (10 .. 29) {
    $pg->do(q{UPDATE public.agent_instances SET fly_machine_id = ?
              WHERE subdomain = 'alice'}, "m$n");
    my $until = time + 0.05;
    while (time < $until) {
        $broken++ unless eval { JSON::PP::decode_json(slurp($path)) };
    }
}
is $broken, 0, 'it is whole at any time';
ok +(wait_for { machine('alice') eq 'm29' } 5), 'and the last change is in it';

# another worker keeps it when this one dies, and after a reload

$ng->kill_worker($_) for 0, 0;
$pg->do(q{UPDATE public.agent_instances SET fly_machine_id = 'm30'
          WHERE subdomain = 'alice'});
ok +(wait_for { machine('alice') eq 'm30' } 5), 'by another worker';
ok $ng->reload, 'a reload';
$pg->do(q{UPDATE public.agent_instances SET fly_machine_id = 'm31'
          WHERE subdomain = 'alice'});
ok +(wait_for { machine('alice') eq 'm31' } 5), 'by a new worker';

ok +(wait_for { !grep { !m{/routes$} } glob "$path*" } 2), 'nothing beside it';

done_testing;
