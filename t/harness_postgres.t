# The harness itself: PostgreSQL.

use strict;
use warnings;

use Test::More;

use FindBin;
use lib "$FindBin::Bin/lib";

use OA::Postgres;
use OA::Util qw(wait_for);

my $pg = OA::Postgres->new;

$pg->do('CREATE TABLE t (a int)');
$pg->do('CREATE ROLE r LOGIN');
$pg->do('GRANT SELECT ON t TO r');
$pg->log_queries('r');

subtest 'two sessions' => sub {
    my $writer = $pg->connect(AutoCommit => 0);
    my $reader = $pg->connect(user => 'r', host => '127.0.0.1');
    my $count = sub { $reader->selectrow_array('SELECT count(*) FROM t') };

    $writer->do('INSERT INTO t VALUES (1)');
    is $count->(), 0, 'not yet committed';
    $writer->commit;
    is $count->(), 1, 'committed';
    ok !eval { $reader->do('DELETE FROM t') }, 'a role is held to its rights';
    is $pg->query_count(qr/count/, 'r'), 2, 'its statements are counted';
    is $pg->query_count(qr/INSERT/), 0, 'those of others are not';
};

is $pg->psql('SELECT a, a FROM t'), "1|1\n", 'psql';
ok !eval { $pg->psql('SELECT nothing') }, 'and its errors';

subtest 'stop, crash, start' => sub {
    $pg->stop;
    ok !eval { $pg->connect }, 'stopped';
    $pg->start;
    is $pg->row('SELECT count(*) FROM t'), 1, 'the data is there';
    $pg->kill;
    $pg->start;
    like $pg->log, qr/not properly shut down/, 'it had crashed';
    is $pg->row('SELECT count(*) FROM t'), 1, 'the data is there';
};

subtest 'frozen' => sub {
    my $session = $pg->connect;
    $pg->freeze;
    my $answer = $session->do('SELECT 1', { pg_async => 1 });
    ok !(wait_for { $session->pg_ready } 0.2), 'no answer';
    $pg->thaw;
    ok +(wait_for { $session->pg_ready }), 'thawed';
    $session->pg_result;
};

my @left = ($pg->dir, $pg->pid);
undef $pg;
ok !-e $left[0], 'no folder is left';
ok !kill(0, $left[1]), 'no process is left';

done_testing;
