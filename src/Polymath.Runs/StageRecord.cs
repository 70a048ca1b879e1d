using System.Text.Json;
using Polymath.Recipes;
using Polymath.Runs.Reports;

namespace Polymath.Runs;

/// <summary>What a finished visit of a stage left, as stored in its <c>report.json</c>.</summary>
/// <param name="Report">Its figures; null for the measurement before the first stage.</param>
/// <param name="Abilities">The abilities after it.</param>
/// <param name="Samples">Answers after it.</param>
public sealed record StageRecord(StageReport? Report, AbilityRow Abilities, IReadOnlyList<SampleReport> Samples)
{
    /// <summary>The file of a stage's folder that holds it.</summary>
    public const string File = "report.json";

    /// <summary>Reads the record of a stage's folder; null where the stage is not finished.</summary>
    /// <param name="folder">The stage's folder.</param>
    /// <exception cref="InputException">The file is damaged.</exception>
    public static StageRecord? Read(string folder)
    {
        var file = Path.Combine(folder, File);
        return System.IO.File.Exists(file) ? RecordFile.Read<StageRecord>(file) : null;
    }

    /// <summary>Reads a record from a file.</summary>
    /// <param name="file">The file.</param>
    /// <exception cref="InputException">The file is damaged.</exception>
    public static StageRecord ReadFile(string file) => RecordFile.Read<StageRecord>(file);

    /// <summary>Writes the record to a stage's folder.</summary>
    /// <param name="folder">The folder.</param>
    public void Write(string folder) => RecordFile.Write(Path.Combine(folder, File), this);
}

/// <summary>Records as JSON files.</summary>
internal static class RecordFile
{
    internal static T Read<T>(string file)
    {
        try
        {
            return JsonSerializer.Deserialize<T>(System.IO.File.ReadAllText(file), JsonLayout.IndentedRecord)
                ?? throw new JsonException("it is null");
        }
        catch (Exception e) when (e is JsonException or IOException or UnauthorizedAccessException)
        {
            throw new InputException($"{file} cannot be read: {e.Message} Restore it, or start again with --fresh.", e);
        }
    }

    internal static void Write<T>(string file, T record) =>
        AtomicFile.WriteText(file, JsonSerializer.Serialize(record, JsonLayout.IndentedRecord) + "\n");
}
