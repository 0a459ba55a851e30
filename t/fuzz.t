# Runs each fuzzer of build/fuzz ("make fuzz") for OA_FUZZ_TIME seconds, on
# what earlier runs found and on t/fuzz/corpus/NAME, with the words of
# t/fuzz/NAME.dict, where there are such.

use strict;
use warnings;

use Test::More;

use File::Path qw(make_path);
use FindBin;
use lib "$FindBin::Bin/lib";

use OA::Util qw(top slurp temp_dir spawn reap);

my $time = $ENV{OA_FUZZ_TIME} // 10;
my @fuzzers = map { m{([^/]+)\.c$} ? $1 : () }
              sort glob "$FindBin::Bin/fuzz/*.c";
plan skip_all => 'no files in t/fuzz' unless @fuzzers;

my $build = top() . '/build/fuzz';
my $tmp = temp_dir();

for my $fuzzer (@fuzzers) {
    my $path = "$build/$fuzzer";
    my $corpus = "$build/corpus/$fuzzer";

    if (!-x $path) {
        fail "$fuzzer is built by \"make fuzz\"";
        next;
    }
    make_path($corpus);

    my ($name) = $fuzzer =~ /^(.*?)(?:_fuzz)?$/;
    my @dict = grep { -e } "$FindBin::Bin/fuzz/$name.dict";
    my @seeds = grep { -e } "$FindBin::Bin/fuzz/corpus/$name";

    my $pid = spawn(argv => [ $path, "-max_total_time=$time", '-timeout=5',
                              '-seed=' . ($ENV{FUZZ_SEED} // 1),
                              '-print_final_stats=1', '-verbosity=0',
                              "-artifact_prefix=$build/$fuzzer-",
                              (map { "-dict=$_" } @dict), $corpus, @seeds ],
                    output => "$tmp/$fuzzer");
    my $status = reap($pid, $time + 60);
    my $text = slurp("$tmp/$fuzzer");
    my ($runs) = $text =~ /number_of_executed_units: (\d+)/;

    ok defined $status && $status == 0 && $text !~ /runtime error:/,
        "$fuzzer: " . ($runs // 'no') . ' runs'
        or diag $text;
    kill 'KILL', $pid unless defined $status;
}

done_testing;
