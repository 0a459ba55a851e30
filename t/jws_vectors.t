# Wycheproof's signatures of JSON Web Signature.  The vectors are not ours and
# not here: OA_WYCHEPROOF names a clone of https://github.com/C2SP/wycheproof.

use strict;
use warnings;

use Test::More;

use FindBin;
use lib "$FindBin::Bin/lib";

use OA::Util qw(top);

my $folder = $ENV{OA_WYCHEPROOF};
plan skip_all => 'OA_WYCHEPROOF does not name a clone of C2SP/wycheproof'
    unless $folder;

my $program = top() . '/build/unit/jws_vectors';
my $vectors = "$folder/testvectors_v1/json_web_signature_test.json";

die "$program: not built by \"make unit\"\n" unless -x $program;

open my $out, '-|', "$program '$vectors' 2>&1" or die "$program: $!";
my ($planned, $ran) = (undef, 0);

while (<$out>) {
    chomp;
    if (/^(not )?ok \d+ - (.*)/) {
        $ran++;
        ok !$1, $2;
    } elsif (/^1\.\.(\d+)/) {
        $planned = $1;
    } elsif (/^# (.*)/) {
        note $1;
    } else {
        fail 'no word of a sanitizer';
        diag $_;
    }
}
close $out;

is $?, 0, 'it ended well';
is $ran, $planned, 'all that was planned ran';
cmp_ok $ran, '>', 400, 'there were as many as are known';

done_testing;
