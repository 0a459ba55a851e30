# What a row says is served as soon as it is committed: rename, delete and
# make again, status, owner, access.

use strict;
use warnings;

use Test::More;

use FindBin;
use lib "$FindBin::Bin/lib";

use OA::Client qw(http_get);
use OA::Nginx;
use OA::Postgres;
use OA::Routes qw(insert_route uuid);
use OA::Util qw(wait_for);

my $pg = OA::Postgres->new->apply;
insert_route($pg, 'alice', machine => 'm1');

my $ng = OA::Nginx->new(workers => 4, http => <<"CONF");
    oa_zone 16m;
    oa_postgres '@{[ $pg->conninfo(user => 'oa_router') ]}';
    oa_routes t { domain openagents.example; source postgres; }
    server {
        listen 127.0.0.1:%%PORT_0%%;
        oa_router t;
        location / {
            add_header X-User \$oa_user_id always;
            oa_replay;
        }
    }
CONF

sub get { http_get($ng->port, '/', host => "$_[0].openagents.example") }

# The target, or the status where there is none.
sub target {
    my $r = get(@_);
    return $r->header('fly-replay') // $r->status;
}

sub becomes {
    my ($name, $wanted, $what) = @_;
    wait_for { target($name) eq $wanted } 2;
    is target($name), $wanted, $what;
}

sub update {
    my ($set, $name) = @_;
    $pg->do("UPDATE public.agent_instances SET $set WHERE subdomain = ?",
            $name);
}

ok $ng->wait_log(qr/1 routes read from the database/), 'the first read';
becomes('alice', 'app=oa-alice;instance=m1', 'a row');

update("subdomain = 'alicia'", 'alice');
becomes('alicia', 'app=oa-alice;instance=m1', 'renamed: the new name');
becomes('alice', 404, 'renamed: the old one');

update("subdomain = 'alice'", 'alicia');
becomes('alice', 'app=oa-alice;instance=m1', 'renamed back');
becomes('alicia', 404, 'the name between');

$pg->do('DELETE FROM public.agent_instances');
becomes('alice', 404, 'deleted');

insert_route($pg, 'alice', machine => 'm2');
becomes('alice', 'app=oa-alice;instance=m2', 'made again');

insert_route($pg, 'null', machine => 'm0');
becomes('null', 'app=oa-null;instance=m0', 'a name that SQL knows');
$pg->do(q{DELETE FROM public.agent_instances WHERE subdomain = 'null'});
becomes('null', 404, 'deleted');

# in one transaction only the end counts

my $session = $pg->connect(AutoCommit => 0);
$session->do(q{UPDATE public.agent_instances SET subdomain = 'x'});
$session->do(q{UPDATE public.agent_instances SET fly_machine_id = 'm3'});
$session->do(q{UPDATE public.agent_instances SET subdomain = 'alice'});
is target('alice'), 'app=oa-alice;instance=m2', 'before the commit';
$session->commit;
becomes('alice', 'app=oa-alice;instance=m3', 'after it');
is target('x'), 404, 'a name that never was committed';

# two names swapped in one statement

insert_route($pg, 'bob', machine => 'b1');
becomes('bob', 'app=oa-bob;instance=b1', 'another');
$session->do(q{UPDATE public.agent_instances SET subdomain = 't'
               WHERE subdomain = 'bob'});
$session->do(q{UPDATE public.agent_instances SET subdomain = 'bob'
               WHERE subdomain = 'alice'});
$session->do(q{UPDATE public.agent_instances SET subdomain = 'alice'
               WHERE subdomain = 't'});
$session->commit;
becomes('alice', 'app=oa-bob;instance=b1', 'swapped');
becomes('bob', 'app=oa-alice;instance=m3', 'both');

for my $status (qw(stopped suspended running)) {
    update("status = '$status'", 'bob');
    becomes('bob', 'app=oa-alice;instance=m3', $status);
}

my %answer = (disabled => 402, error => 503, provisioning => 503);
for my $status (sort keys %answer) {
    update("status = '$status'", 'bob');
    becomes('bob', $answer{$status}, $status);
}

update("status = 'running'", 'bob');
becomes('bob', 'app=oa-alice;instance=m3', 'running again');

my $user = uuid();
$pg->do('INSERT INTO auth.users (id) VALUES (?)', $user);
$pg->do('INSERT INTO public.user_profiles (id) VALUES (?)
         ON CONFLICT DO NOTHING', $user);
update("user_id = '$user'", 'bob');
wait_for { get('bob')->header('X-User') eq $user } 2;
is get('bob')->header('X-User'), $user, 'another owner';

for my $access (qw(owner authenticated)) {
    update("access = '$access'", 'bob');
    becomes('bob', 404, $access);
    update("access = 'public'", 'bob');
    becomes('bob', 'app=oa-alice;instance=m3', 'public');
}

$pg->do('TRUNCATE public.agent_instances CASCADE');
becomes('alice', 404, 'truncated');
becomes('bob', 404, 'both');

is $ng->log_count(qr/routes read from the database/), 1, 'one full read';

done_testing;
