# DBD::Pg: placeholders by the server's numbers, server prepares after some executions, COPY, large objects, catalogue methods.
use strict;
use warnings;
use DBI;
use JSON::PP;

my $json = JSON::PP->new->canonical->ascii;
local $/ = undef;
my $asked = decode_json(<STDIN>);
my $t = $asked->{target};
my $dbh = DBI->connect("dbi:Pg:host=$t->{host};port=$t->{port};dbname=$t->{dbname};sslmode=$t->{sslmode}", $t->{user}, $t->{password},
    { RaiseError => 1, PrintError => 0, AutoCommit => 1, pg_enable_utf8 => 1, pg_server_prepare => 1, pg_switch_prepared => 2 });
$| = 1;

sub report {
    my ($name, $run) = @_;
    my $rows = eval { [map { [map { !defined($_) ? undef : ref($_) ? $json->encode($_) : "$_" } @$_] } @{ $run->() }] };
    my $line = { case => $name, rows => $rows, error => undef };
    if (!defined $rows) {
        $line->{error} = $dbh->state || 'perl';
        $line->{text} = substr("$@", 0, 300);
    }
    print $json->encode($line), "\n";
}

sub rows {
    my ($sql, @values) = @_;
    my $sth = $dbh->prepare($sql);
    my $n = $sth->execute(@values);
    return $sth->{NUM_OF_FIELDS} ? $sth->fetchall_arrayref : [[$n]];
}

for my $case (@{ $asked->{cases} }) {
    (my $sql = $case->{sql}) =~ s/\{(\d+)\}/\$$1/g;
    report($case->{name}, sub { rows($sql, @{ $case->{params} }) });
}

report('prepared', sub {
    my $sth = $dbh->prepare('SELECT id, name FROM things WHERE id = ?');
    my @found;
    for my $n (1 .. 8) { $sth->execute($n); push @found, @{ $sth->fetchall_arrayref }; }
    return \@found;
});
report('copy out', sub {
    $dbh->do('COPY things (id, name) TO STDOUT');
    my ($out, $line) = ('', '');
    $out .= $line while $dbh->pg_getcopydata(\$line) >= 0;
    return [[$out]];
});
report('copy in', sub {
    $dbh->do('COPY scratch (id, name) FROM STDIN');
    $dbh->pg_putcopydata("1300\tperl\n");
    $dbh->pg_putcopyend();
    return rows('DELETE FROM scratch WHERE id = 1300 RETURNING id, name');
});
report('transaction', sub {
    $dbh->begin_work;
    $dbh->do(q{INSERT INTO scratch VALUES (1310, 'x')});
    $dbh->pg_savepoint('here');
    eval { $dbh->do('SELECT 1/0') };
    my $state = $dbh->state;
    $dbh->pg_rollback_to('here');
    my $inside = rows('SELECT count(*) FROM scratch WHERE id = 1310');
    $dbh->rollback;
    return [@$inside, [$state], @{ rows('SELECT count(*) FROM scratch WHERE id = 1310') }];
});
report('tables', sub { [map { [@$_[1 .. 3]] } @{ $dbh->table_info(undef, 'public', '%', 'TABLE')->fetchall_arrayref }] });
report('columns', sub { [map { [@$_[2 .. 6]] } @{ $dbh->column_info(undef, 'public', 'people', '%')->fetchall_arrayref }] });
report('primary key', sub { [[$dbh->primary_key(undef, 'public', 'things')]] });
report('statistics', sub { [map { [@$_[3 .. 8]] } @{ $dbh->statistics_info(undef, 'public', 'things', 0, 0)->fetchall_arrayref }] });
report('masked prepared', sub {
    my $sth = $dbh->prepare('SELECT id, email, ssn FROM people WHERE id = ?');
    my @found;
    for my $n (1 .. 8) { $sth->execute($n); push @found, @{ $sth->fetchall_arrayref }; }
    return \@found;
});
$dbh->disconnect;
