using System.Security.Cryptography;
using System.Text.Json;
using Polymath.Recipes;
using Polymath.Tensors.Files;
using Polymath.Training.Optimizers;

namespace Polymath.Training.Checkpoints;

/// <summary>
/// The saves of one stage: folders <c>step-NNNNNNNN</c> with the trained weights, what the optimizer remembers, the state and, last, a
/// manifest of checksums. It alone decides what is saved, what is trusted and what is deleted.
/// </summary>
/// <param name="folder">The stage's folder of checkpoints.</param>
/// <param name="settings">When to save and how many checkpoints to keep.</param>
/// <param name="freeSpace">Returns how many bytes are free on a folder's disk; null to ask the system.</param>
public sealed class Checkpoint(string folder, CheckpointSettings settings, Func<string, long>? freeSpace = null)
{
    // A method's own state is saved with the moments, under names with this prefix.
    private const string Memory = "method.";

    private const string WeightsFile = "weights.safetensors",
        MomentsFile = "optimizer.safetensors",
        StateFile = "state.json",
        ManifestFile = "manifest.json";

    private static readonly Dictionary<string, TorchSharp.torch.Tensor> none = [];

    /// <summary>Throws when the disk lacks the space for the checkpoints that will be kept and one more during its writing.</summary>
    /// <param name="optimizer">What is saved.</param>
    /// <param name="beside">The bytes that are written beside the saves: the finished model.</param>
    public void CheckSpace(OptimizerSet optimizer, long beside = 0)
    {
        ArgumentNullException.ThrowIfNull(optimizer);
        var kept = settings.Keep + (settings.Best is null ? 0 : 1);
        // Existing checkpoints take no more space.
        Require(SizeOf(optimizer) * Math.Max(1, kept + 1 - Steps().Count()) + beside);
    }

    /// <summary>Saves a checkpoint, then deletes those that need not be kept.</summary>
    /// <param name="optimizer">The trained weights and their moments.</param>
    /// <param name="state">The state.</param>
    /// <param name="memory">What the method remembers between steps, by name; null for nothing.</param>
    public void Save(OptimizerSet optimizer, CheckpointState state, IReadOnlyDictionary<string, TorchSharp.torch.Tensor>? memory = null)
    {
        ArgumentNullException.ThrowIfNull(optimizer);
        ArgumentNullException.ThrowIfNull(state);
        Require(SizeOf(optimizer) + (memory ?? none).Values.Sum(tensor => tensor.numel() * tensor.element_size()));
        AtomicFile.WriteFolder(PathOf(state.Step), inside =>
        {
            SafetensorsWriter.Write(
                Path.Combine(inside, WeightsFile), optimizer.Named.ToDictionary(pair => pair.Key, pair => pair.Value.Value));
            SafetensorsWriter.Write(
                Path.Combine(inside, MomentsFile),
                optimizer.State()
                    .Concat((memory ?? none).Select(pair => KeyValuePair.Create(Memory + pair.Key, pair.Value))).ToDictionary());
            AtomicFile.WriteText(Path.Combine(inside, StateFile), JsonSerializer.Serialize(state, JsonLayout.IndentedRecord) + "\n");
            var sums = new[] { WeightsFile, MomentsFile, StateFile }.ToDictionary(name => name, name => Digest(Path.Combine(inside, name)));
            AtomicFile.WriteText(Path.Combine(inside, ManifestFile), JsonSerializer.Serialize(sums, JsonLayout.IndentedRecord) + "\n");
        });
        // Checkpoints after this step are damaged, so they do not count.
        foreach (var old in Steps().Where(step => step <= state.Step).SkipLast(settings.Keep).Where(step => step != state.BestStep))
            Directory.Delete(PathOf(old), recursive: true);
    }

    /// <summary>The newest undamaged checkpoint; damaged ones are reported and skipped.</summary>
    /// <param name="tell">Receives a message for each damaged checkpoint.</param>
    public CheckpointState? Newest(Action<string> tell)
    {
        ArgumentNullException.ThrowIfNull(tell);
        AtomicFile.Sweep(folder);
        foreach (var step in Steps().Reverse())
        {
            if (Fault(PathOf(step)) is not { } fault) return ReadState(step);
            // It is renamed, so that it no longer counts as a checkpoint but is not lost.
            var aside = PathOf(step) + ".damaged";
            for (var number = 2; Directory.Exists(aside); number++) aside = $"{PathOf(step)}.damaged-{number}";
            Directory.Move(PathOf(step), aside);
            tell($"The checkpoint {PathOf(step)} is damaged ({fault}) and is not used; "
                + $"{(Steps().Any() ? "the one before it is" : "there is none before it, and the stage starts again")}. It lies in "
                + $"{aside}.");
        }
        return null;
    }

    /// <summary>Restores a checkpoint's weights and moments, and the method's state.</summary>
    /// <param name="step">The checkpoint's step.</param>
    /// <param name="optimizer">What is restored.</param>
    /// <param name="memory">What the method remembers between steps, by name; null for nothing.</param>
    public void Restore(int step, OptimizerSet optimizer, IReadOnlyDictionary<string, TorchSharp.torch.Tensor>? memory = null)
    {
        ArgumentNullException.ThrowIfNull(optimizer);
        using (var weights = SafetensorsFile.Open(Path.Combine(PathOf(step), WeightsFile)))
            foreach (var (name, weight) in optimizer.Named)
                using (var kept = weights.Map(name))
                    weight.Assign(kept);
        using var moments = SafetensorsFile.Open(Path.Combine(PathOf(step), MomentsFile));
        foreach (var (name, tensor) in memory ?? none)
            using (var kept = moments.Map(Memory + name))
                tensor.copy_(kept);
        foreach (var (name, moment) in optimizer.State())
            using (var kept = moments.Map(name))
                moment.copy_(kept);
    }

    /// <summary>Whether a step has an undamaged checkpoint.</summary>
    /// <param name="step">The step.</param>
    public bool Has(int step) => Directory.Exists(PathOf(step)) && Fault(PathOf(step)) is null;

    private string PathOf(int step) => Path.Combine(folder, $"step-{step:D8}");

    private IEnumerable<int> Steps() => Directory.Exists(folder)
        ? Directory.GetDirectories(folder, "step-*")
            .Select(path => int.TryParse(Path.GetFileName(path)[5..], out var step) ? step : -1).Where(step => step >= 0).Order()
        : [];

    private CheckpointState ReadState(int step) =>
        JsonSerializer.Deserialize<CheckpointState>(File.ReadAllText(Path.Combine(PathOf(step), StateFile)), JsonLayout.IndentedRecord)!;

    private static string? Fault(string path)
    {
        try
        {
            var manifest = Path.Combine(path, ManifestFile);
            if (!File.Exists(manifest)) return $"{ManifestFile} is missing";
            var sums = JsonSerializer.Deserialize<Dictionary<string, string>>(File.ReadAllText(manifest), JsonLayout.IndentedRecord)!;
            if (sums.Count != 3 || !sums.ContainsKey(WeightsFile) || !sums.ContainsKey(MomentsFile) || !sums.ContainsKey(StateFile))
                return $"{ManifestFile} does not name the three files of a checkpoint";
            foreach (var (name, sum) in sums)
            {
                var file = Path.Combine(path, Path.GetFileName(name));
                if (!File.Exists(file)) return $"{name} is missing";
                if (Digest(file) != sum) return $"{name} does not have the checksum that was recorded";
            }
            return null;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or JsonException or NullReferenceException)
        {
            return e.Message;
        }
    }

    private static string Digest(string file)
    {
        using var stream = File.OpenRead(file);
        return Convert.ToHexStringLower(SHA256.HashData(stream));
    }

    private static long SizeOf(OptimizerSet optimizer) => optimizer.Count * 4 + optimizer.StateBytes + (1 << 20);

    private void Require(long bytes)
    {
        Directory.CreateDirectory(folder);
        var free = freeSpace?.Invoke(folder) ?? new DriveInfo(Path.GetFullPath(folder)).AvailableFreeSpace;
        if (free < bytes)
            throw new RunFailedException($"Checkpoints in {folder} need {bytes / 1e6:N0} MB, the disk has {free / 1e6:N0} MB left. Free "
                + "some space, keep fewer checkpoints, or give another --run-dir. Nothing was written.");
    }
}
