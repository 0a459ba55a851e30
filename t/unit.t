# Runs each test of build/unit ("make unit"): TAP of its own, and any
# sanitizer's word is a failure.

use strict;
use warnings;

use Test::More;

use FindBin;
use lib "$FindBin::Bin/lib";

use OA::Util qw(top);

my @programs = map { m{([^/]+)\.c$} ? $1 : () }
               sort glob "$FindBin::Bin/unit/*_test.c";
plan skip_all => 'no files in t/unit' unless @programs;

for my $program (@programs) {
    subtest $program => sub {
        my $path = top() . "/build/unit/$program";
        return fail 'built by "make unit"' unless -x $path;

        open my $out, '-|', "$path 2>&1" or die "$path: $!";
        my ($planned, $ran) = (undef, 0);

        while (<$out>) {
            chomp;
            if (/^(not )?ok\b(?: \d+)?(?: - (.*))?/) {
                $ran++;
                ok !$1, $2;
            } elsif (/^1\.\.(\d+)/) {
                $planned = $1;
            } else {
                fail 'sanitizer' if /Sanitizer|runtime error:/;
                diag $_;
            }
        }
        close $out;
        is $?, 0, 'it ended well';
        is $ran, $planned, 'all that was planned ran';
    };
}

done_testing;
