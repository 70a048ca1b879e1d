namespace Polymath.Runs;

/// <summary>What a stage's model was made from, as stored in its <c>lineage.json</c>.</summary>
/// <param name="Stage">The stage's visit.</param>
/// <param name="Kind">What it learned.</param>
/// <param name="From">The visit or the folder that it started from; null for fresh weights.</param>
/// <param name="Method">What it trained.</param>
/// <param name="Steps">Its steps.</param>
/// <param name="Data">The rows that it read, by source, with the digest of each.</param>
/// <param name="Models">Other models that it used: a teacher, a critic, those of its rewards.</param>
public sealed record StageLineage(
    string Stage,
    string Kind,
    string? From,
    string Method,
    int Steps,
    IReadOnlyDictionary<string, DataDigest> Data,
    IReadOnlyList<string> Models)
{
    /// <summary>The file of a stage's folder that holds it.</summary>
    public const string File = "lineage.json";

    /// <summary>Reads the lineage of a stage's folder; null where there is none.</summary>
    /// <param name="folder">The stage's folder.</param>
    public static StageLineage? Read(string folder)
    {
        var file = Path.Combine(folder, File);
        return System.IO.File.Exists(file) ? RecordFile.Read<StageLineage>(file) : null;
    }

    /// <summary>Writes it to a stage's folder.</summary>
    /// <param name="folder">The folder.</param>
    public void Write(string folder) => RecordFile.Write(Path.Combine(folder, File), this);
}

/// <summary>The rows of a source.</summary>
/// <param name="Rows">How many there are.</param>
/// <param name="Digest">Their digest.</param>
public sealed record DataDigest(int Rows, string Digest);
