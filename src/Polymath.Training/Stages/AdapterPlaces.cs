using Polymath.Recipes;
using Polymath.Tuning;

namespace Polymath.Training.Stages;

/// <summary>The places of the adapters that a stage starts from.</summary>
/// <param name="BaseFolder">The folder that the recipe's paths are relative to.</param>
/// <param name="OfStage">The adapter's folder of an earlier stage.</param>
/// <param name="Prepared">The folder where the stage saves what it starts from: copies of folders outside the run, and a combined
/// adapter.</param>
/// <param name="Begun">Whether the stage has already trained, so that it continues from the saved files.</param>
public sealed record AdapterPlaces(string BaseFolder, Func<string, string> OfStage, string Prepared, bool Begun = false)
{
    /// <summary>The folder of an adapter that was trained before.</summary>
    /// <param name="name">The adapter's name, also within a stage that has several.</param>
    /// <param name="spec">The settings that say where it is.</param>
    /// <exception cref="InputException">It is missing.</exception>
    public string Of(string name, AdapterSpec spec)
    {
        ArgumentNullException.ThrowIfNull(spec);
        var folder = spec.Stage is { } stage ? OfStage(stage) : Path.GetFullPath(spec.Folder!, Path.GetFullPath(BaseFolder));
        if (File.Exists(Path.Combine(folder, AttachedAdapters.IndexFile))) folder = Path.Combine(folder, name);
        return Directory.Exists(folder)
            ? folder
            : throw new InputException($"method.adapters.{name}: there is no adapter in {folder}. Name the folder that holds its "
                + "adapter_config.json; of a stage with several, give the adapter the name that it has there.");
    }

    /// <summary>
    /// The folder of an adapter in its state at the start of the stage. Another program may have changed the folder that the recipe names.
    /// </summary>
    /// <param name="name">The adapter's name.</param>
    /// <param name="spec">The settings that say where it is.</param>
    /// <exception cref="InputException">It is missing.</exception>
    public string Found(string name, AdapterSpec spec)
    {
        ArgumentNullException.ThrowIfNull(spec);
        var kept = Path.Combine(Prepared, name);
        return Begun && spec.Folder is not null && Directory.Exists(kept) ? kept : Of(name, spec);
    }

    /// <summary>Saves a copy of an adapter that the run did not write itself.</summary>
    /// <param name="name">The adapter's name.</param>
    /// <param name="spec">The settings that say where it is.</param>
    public void Keep(string name, AdapterSpec spec)
    {
        ArgumentNullException.ThrowIfNull(spec);
        if (spec.Folder is null) return;
        var from = Found(name, spec);
        Make(name, inside =>
        {
            foreach (var file in Directory.EnumerateFiles(from).Where(file => IsPart(Path.GetFileName(file))))
                File.Copy(file, Path.Combine(inside, Path.GetFileName(file)));
        });
    }

    /// <summary>
    /// The folder of the mixture that has exactly these adapters in this order; training continues with its gates. Null when there is none.
    /// </summary>
    /// <param name="method">The adapters.</param>
    internal string? Gates(AdaptersMethod method)
    {
        var kept = Path.Combine(Prepared, "mixture");
        if (Begun && Directory.Exists(kept)) return kept;
        var specs = method.Adapters.Values.ToList();
        var first = specs[0];
        if (specs.Exists(spec => spec.Delta is not null || spec.Stage != first.Stage)) return null;
        var folders = method.Adapters.Select(pair => Of(pair.Key, pair.Value)).ToList();
        var mixture = Path.GetDirectoryName(folders[0])!;
        if (!File.Exists(Path.Combine(mixture, AttachedAdapters.IndexFile))
            || AttachedAdapters.ReadIndex(mixture) is not { Together: Together.Mix } index)
            return null;
        if (!folders.SequenceEqual(index.Names.Select(name => Path.Combine(mixture, name)))) return null;
        return first.Stage is not null ? mixture : Make("mixture", inside =>
        {
            foreach (var file in new[] { AdapterMixture.File, Optimizers.OptimizerSet.File }
                .Where(file => File.Exists(Path.Combine(mixture, file))))
                File.Copy(Path.Combine(mixture, file), Path.Combine(inside, file));
        });
    }

    /// <summary>A folder that is written when the stage begins, so that a resumed stage starts from the same bytes.</summary>
    /// <param name="name">Its name.</param>
    /// <param name="fill">Fills it; not called when the stage has already begun.</param>
    internal string Make(string name, Action<string> fill)
    {
        var kept = Path.Combine(Prepared, name);
        if (Begun && Directory.Exists(kept)) return kept;
        Directory.CreateDirectory(Prepared);
        AtomicFile.WriteFolder(kept, fill);
        return kept;
    }

    private static bool IsPart(string file) =>
        Path.GetExtension(file) is ".json" or ".safetensors" or ".bin" or ".pt" && (file.StartsWith("adapter_", StringComparison.Ordinal)
            || file.StartsWith("prompt_encoder", StringComparison.Ordinal) || file.StartsWith("optimizer.", StringComparison.Ordinal));
}
