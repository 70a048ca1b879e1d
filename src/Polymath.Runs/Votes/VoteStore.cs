using System.Globalization;
using Microsoft.Data.Sqlite;
using Polymath.Recipes;

namespace Polymath.Runs;

/// <summary>
/// What people preferred: votes on pairs of answers, in a file of SQLite. Rows are appended and never changed; the file itself refuses
/// changes. Votes on the same two answers are counted together, whatever side the answers stood on.
/// </summary>
public sealed class VoteStore : IDisposable
{
    private const int Version = 1;

    // "poly" as a number: SQLite's own mark for the program that a file belongs to.
    private const int Mark = 0x706F6C79;

    private const string Columns =
        "prompt, left, right, verdict, edited, source, system, left_by, right_by, sampling, rater, seconds, time";

    private const string Tables = $"""
        PRAGMA application_id = 1886350457;
        PRAGMA user_version = 1;
        CREATE TABLE votes (
            id INTEGER PRIMARY KEY AUTOINCREMENT,
            prompt TEXT NOT NULL,
            left TEXT NOT NULL,
            right TEXT NOT NULL,
            verdict TEXT NOT NULL CHECK (verdict IN ('left', 'right', 'tie', 'bad', 'skip')),
            edited TEXT,
            source TEXT NOT NULL,
            system TEXT,
            left_by TEXT NOT NULL,
            right_by TEXT NOT NULL,
            sampling TEXT NOT NULL,
            rater TEXT NOT NULL,
            seconds REAL NOT NULL,
            time TEXT NOT NULL);
        CREATE TRIGGER votes_are_not_changed BEFORE UPDATE ON votes BEGIN SELECT RAISE(ABORT, 'votes are appended, never changed'); END;
        CREATE TRIGGER votes_are_not_removed BEFORE DELETE ON votes BEGIN SELECT RAISE(ABORT, 'votes are appended, never removed'); END;
        """;

    private readonly SqliteConnection connection;

    private VoteStore(SqliteConnection connection) => this.connection = connection;

    /// <summary>Opens a store to vote, and makes it where there is none.</summary>
    /// <param name="file">The file.</param>
    /// <exception cref="InputException">It is another kind of file, or cannot be written.</exception>
    public static VoteStore Open(string file)
    {
        if (Path.GetDirectoryName(Path.GetFullPath(file)) is { } folder) Directory.CreateDirectory(folder);
        return At(file, SqliteOpenMode.ReadWriteCreate);
    }

    /// <summary>Opens a store to read its votes.</summary>
    /// <param name="file">The file.</param>
    /// <exception cref="InputException">There is none, or it is another kind of file.</exception>
    public static VoteStore Read(string file) => File.Exists(file)
        ? At(file, SqliteOpenMode.ReadOnly)
        : throw new InputException($"There is no file {file}. `polymath label MODEL --votes {file}` makes it.");

    private static VoteStore At(string file, SqliteOpenMode mode)
    {
        var connection = new SqliteConnection(new SqliteConnectionStringBuilder
        {
            DataSource = file,
            Mode = mode,
            Pooling = false,
            DefaultTimeout = 10,
        }.ToString());
        try
        {
            connection.Open();
            var store = new VoteStore(connection);
            store.Claim(file, mode);
            return store;
        }
        catch (SqliteException e)
        {
            connection.Dispose();
            throw new InputException($"{file} cannot be opened as a file of votes: {e.Message.TrimEnd('.')}. Name a file that `polymath "
                + "label` has written, or a new one.", e);
        }
        catch
        {
            connection.Dispose();
            throw;
        }
    }

    private void Claim(string file, SqliteOpenMode mode)
    {
        using var writing = mode == SqliteOpenMode.ReadWriteCreate ? connection.BeginTransaction() : null;
        bool Empty() => Number("SELECT count(*) FROM sqlite_master") == 0 && Number("PRAGMA application_id") == 0;
        if (mode == SqliteOpenMode.ReadWriteCreate && Empty()) Run(Tables);
        writing?.Commit();
        if (Number("PRAGMA application_id") != Mark)
            throw new InputException($"{file} is a file of another program. Name a file that `polymath label` has written, or a new one.");
        if (Number("PRAGMA user_version") is > Version and var version)
            throw new InputException($"{file} is of version {version}, and this Polymath reads version {Version}. Take a newer Polymath.");
    }

    private long Number(string query)
    {
        using var command = connection.CreateCommand();
        command.CommandText = query;
        return Convert.ToInt64(command.ExecuteScalar(), CultureInfo.InvariantCulture);
    }

    private void Run(string statement)
    {
        using var command = connection.CreateCommand();
        command.CommandText = statement;
        command.ExecuteNonQuery();
    }

    /// <summary>Appends a vote.</summary>
    /// <param name="vote">The vote.</param>
    /// <exception cref="InputException">It cannot be written; nothing of it is.</exception>
    public void Append(Vote vote)
    {
        ArgumentNullException.ThrowIfNull(vote);
        var names = Columns.Split(", ");
        using var command = connection.CreateCommand();
        command.CommandText = $"INSERT INTO votes ({Columns}) VALUES ({string.Join(", ", names.Select(name => "$" + name))})";
        object?[] values =
        [
            vote.Prompt, vote.Left, vote.Right, vote.Verdict.ToString().ToLowerInvariant(), vote.Edited, vote.Source, vote.System,
            vote.LeftBy, vote.RightBy, vote.Sampling, vote.Rater, vote.Seconds, vote.Time.ToString("O", CultureInfo.InvariantCulture),
        ];
        foreach (var (name, value) in names.Zip(values)) command.Parameters.AddWithValue("$" + name, value ?? DBNull.Value);
        try
        {
            command.ExecuteNonQuery();
        }
        catch (SqliteException e)
        {
            throw new InputException($"The vote could not be written to {connection.DataSource}: {e.Message.TrimEnd('.')}. The votes "
                + "before it are there. Free the file or the disk, and give the same command.", e);
        }
    }

    /// <summary>All votes, in their order.</summary>
    public IReadOnlyList<Vote> Votes()
    {
        using var command = connection.CreateCommand();
        command.CommandText = $"SELECT {Columns} FROM votes ORDER BY id";
        using var rows = command.ExecuteReader();
        var votes = new List<Vote>();
        string? Text(int column) => rows.IsDBNull(column) ? null : rows.GetString(column);
        while (rows.Read())
        {
            votes.Add(new Vote(
                rows.GetString(0),
                rows.GetString(1),
                rows.GetString(2),
                Enum.Parse<Verdict>(rows.GetString(3), ignoreCase: true),
                Text(4),
                rows.GetString(5),
                Text(6),
                rows.GetString(7),
                rows.GetString(8),
                rows.GetString(9),
                rows.GetString(10),
                rows.GetDouble(11),
                DateTimeOffset.Parse(rows.GetString(12), CultureInfo.InvariantCulture)));
        }
        return votes;
    }

    /// <summary>The pairs of which one answer was preferred by more people than the other; pairs with as many for both are left out.
    /// </summary>
    public IReadOnlyList<PreferredPair> Pairs() => VoteCount.Pairs(Votes());

    /// <summary>The answers that people called good or bad.</summary>
    public IReadOnlyList<JudgedAnswer> Judged() => VoteCount.Judged(Votes());

    /// <summary>The answers that people wrote, the last one of each person to a prompt.</summary>
    public IReadOnlyList<EditedAnswer> Edits() => VoteCount.Edits(Votes());

    /// <inheritdoc/>
    public void Dispose() => connection.Dispose();
}
