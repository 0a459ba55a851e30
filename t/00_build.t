# What was built loads, in the documented order and in no other.

use strict;
use warnings;

use Test::More;

use FindBin;
use lib "$FindBin::Bin/lib";

use OA::Nginx;

my @built = grep { -e OA::Nginx->module_path($_) } @OA::Nginx::MODULES;
my ($core, @others) = @built;

is $core, 'ngx_oa_core_module', 'core was built';
ok @others, 'and others';

sub load {
    my (@modules) = @_;
    return OA::Nginx->test_config(modules => \@modules);
}

my ($exit, $err) = load(@built);
is $exit, 0, 'all load' or diag $err;
unlike $err, qr/\[(?:warn|error|alert)\]/, 'without a word';

($exit, $err) = load($core);
is $exit, 0, 'core loads alone' or diag $err;

for my $module (@others) {
    ($exit, $err) = load($core, $module);
    is $exit, 0, "$module loads with core alone" or diag $err;

    ($exit, $err) = load($module);
    is $exit, 1, "$module does not without";
    like $err, qr/\[emerg\].*\Q$module\E\.so.*undefined symbol: ngx_oa_/,
        'and nginx names what it misses';
}

my $ng = OA::Nginx->new(workers => 2);
ok $ng->reload, 'a reload';
ok $ng->quit, 'a quiet end';

done_testing;
