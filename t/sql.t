# Runs each pgTAP file of t/sql in a database of its own.

use strict;
use warnings;

use Test::More;

use FindBin;
use lib "$FindBin::Bin/lib";

use OA::Postgres;

my @files = sort glob "$FindBin::Bin/sql/*.sql";
plan skip_all => 'no files in t/sql' unless @files;

my $pg = OA::Postgres->new;
$pg->do('CREATE DATABASE base');
$pg->{db} = 'base';
$pg->apply;
$pg->{db} = 'postgres';

for my $file (@files) {
    my ($name) = $file =~ m{([^/]+)\.sql$};

    subtest $name => sub {
        $pg->psql("CREATE DATABASE \"$name\" TEMPLATE base");
        my ($tap, $exit) = $pg->tap($file, dbname => $name);
        my ($planned, $ran) = (undef, 0);

        for (split /\n/, $tap) {
            if (/^(not )?ok\b(?: \d+)?(?: - (.*))?/) {
                $ran++;
                ok !$1, $2;
            } elsif (/^1\.\.(\d+)/) {
                $planned = $1;
            } elsif (/\S/) {
                /^psql:|ERROR/ ? diag $_ : s/^# // ? diag $_ : note $_;
            }
        }
        is $ran, $planned, 'all that was planned ran';
        is $exit, 0, 'psql ended well';
    };
}

done_testing;
