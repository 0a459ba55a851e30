package OA::Routes;

# Routes for tests: as a file, and as rows.

use strict;
use warnings;

use Exporter qw(import);
use JSON::PP;

our @EXPORT_OK = qw(route routes_file insert_route uuid);

my $n = 0;

# A UUID that no other call in this process gets.
sub uuid { sprintf '%08x-0000-4000-8000-%012x', $$, ++$n }

# A running, public route; what is undef is left out.
sub route {
    my ($subdomain, %o) = @_;
    my %route = (
        subdomain => $subdomain, route_id => uuid(), user_id => uuid(),
        agent_id => uuid(), app => "oa-$subdomain",
        machine => "m$subdomain", region => 'fra', status => 'running',
        access => 'public', %o,
    );
    defined $route{$_} or delete $route{$_} for keys %route;
    return \%route;
}

sub routes_file {
    my @routes = map { ref $_ ? $_ : route($_) } @_;
    my $json = JSON::PP->new->canonical;
    return qq({"routes":[\n) . join(",\n", map { $json->encode($_) } @routes)
        . "\n]}\n";
}

# Inserts a route with the user and agent that its row needs; its id.
sub insert_route {
    my ($pg, $subdomain, %o) = @_;
    my $r = route($subdomain, %o);
    $pg->do(<<'SQL', $r->{user_id});
        INSERT INTO auth.users (id) VALUES (?) ON CONFLICT DO NOTHING
SQL
    $pg->do(<<'SQL', $r->{user_id});
        INSERT INTO public.user_profiles (id) VALUES (?)
        ON CONFLICT DO NOTHING
SQL
    $pg->do(<<'SQL', $r->{agent_id}, $r->{user_id}, $r->{agent_id});
        INSERT INTO public.agents (id, creator_id, name, slug)
        VALUES (?, ?, 'agent', ?) ON CONFLICT DO NOTHING
SQL
    my @columns = qw(route_id user_id agent_id app machine region status
                     access subdomain);
    $pg->do(<<'SQL', @$r{@columns});
        INSERT INTO public.agent_instances (id, user_id, agent_id,
            fly_app_name, fly_machine_id, region, status, access, subdomain)
        VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
SQL
    return $r->{route_id};
}

1;

__END__

=head1 SYNOPSIS

    use OA::Routes qw(route routes_file insert_route uuid);

    files => { 'routes.json' => routes_file('alice', route('bob',
                   status => 'disabled', machine => undef)) }

    my $id = insert_route($pg, 'alice', machine => 'm1');

=cut
