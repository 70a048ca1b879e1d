using Polymath.Models;
using Polymath.Recipes;
using static TorchSharp.torch;

namespace Polymath.Tuning;

/// <summary>Attaches a set to a model: fresh, or from files.</summary>
public sealed partial class DeltaSet
{
    /// <summary>Attaches a fresh delta as a recipe describes it.</summary>
    /// <param name="model">The model.</param>
    /// <param name="spec">The description.</param>
    /// <param name="seed">The run's seed.</param>
    /// <param name="encode">Turns a text into the model's tokens, for prompts that start as one; null where no tokenizer is at
    /// hand.</param>
    public static DeltaSet Fresh(LanguageModel model, DeltaSpec spec, long seed, Func<string, int[]>? encode = null) =>
        Fresh(model, DeltaPlan.Configure(model, spec), seed, encode);

    /// <summary>Attaches a fresh adapter.</summary>
    /// <param name="model">The model.</param>
    /// <param name="configuration">The settings.</param>
    /// <param name="seed">The run's seed.</param>
    /// <param name="encode">Turns a text into the model's tokens, for prompts that start from a text; null without a tokenizer.</param>
    public static DeltaSet Fresh(LanguageModel model, AdapterConfiguration configuration, long seed, Func<string, int[]>? encode = null) =>
        Attach(model, configuration, set => new DeltaParts(set, null, seed) { Encode = encode });

    /// <summary>Attaches an adapter from a folder in PEFT's format. Every tensor must fit and be used.</summary>
    /// <param name="model">The model.</param>
    /// <param name="folder">The folder.</param>
    /// <param name="anyBase">Whether it may be attached to another model than the one it was trained on.</param>
    /// <exception cref="InputException">A file is missing or damaged, does not fit the model, or was trained on another model.</exception>
    public static DeltaSet Load(LanguageModel model, string folder, bool anyBase = false)
    {
        ArgumentNullException.ThrowIfNull(model);
        var configuration = AdapterConfiguration.Read(Path.Combine(folder, "adapter_config.json"));
        if (!anyBase) AdapterBase.Read(folder)?.Check(model, folder, configuration);
        // A prompt's encoder, if it was saved, computes the content of PEFT's file.
        var encoder = Path.Combine(folder, Prompts.ComputedPrompt.EncoderFile);
        return Read(
            model,
            configuration,
            File.Exists(encoder) ? encoder : AdapterFile(folder),
            folder,
            null);
    }

    /// <summary>The file of an adapter's weights: PEFT before 0.6 wrote a file in PyTorch's own format.</summary>
    /// <param name="folder">The adapter's folder.</param>
    public static string AdapterFile(string folder)
    {
        string file = Path.Combine(folder, "adapter_model.safetensors"), older = Path.Combine(folder, "adapter_model.bin");
        return !File.Exists(file) && File.Exists(older) ? older : file;
    }

    /// <summary>
    /// Attaches an adapter from a file with only its weights, as written by scripts that save only the trained weights. Every tensor must
    /// fit and be used.
    /// </summary>
    /// <param name="model">The model.</param>
    /// <param name="file">The file.</param>
    /// <param name="alpha">α, which such a file does not have.</param>
    /// <param name="basis">The base model's name or folder, for the configuration.</param>
    public static DeltaSet Import(LanguageModel model, string file, double alpha, string basis = "")
    {
        ArgumentNullException.ThrowIfNull(model);
        var weights = LoraWeightNames.Read(file);
        var ends = weights.Targets.Select(target => target[(target.LastIndexOf('.') + 1)..]).Distinct(StringComparer.Ordinal).ToList();
        // The ends of the names when they match the same modules, as PEFT writes it; otherwise the whole names.
        var fit = model.Projections.Where(projection => ends.Any(end => projection.Name.EndsWith("." + end, StringComparison.Ordinal)))
            .All(projection => weights.Targets.Contains(projection.Name));
        var configuration = Deltas.Lora.Configure(
            weights.Rank,
            alpha,
            fit ? ends : [.. weights.Targets],
            basis,
            DeltaPlan.Task(model));
        DeltaPlan.Fit(configuration, model);
        return Read(
            model,
            configuration,
            file,
            file,
            weights.NameOf);
    }

    private static DeltaSet Read(
        LanguageModel model,
        AdapterConfiguration configuration,
        string path,
        string origin,
        Func<string, string>? nameInFile)
    {
        using var files = new FileWeights([path], origin);
        var set = Attach(model, configuration, set => new DeltaParts(set, files, 0, nameInFile));
        try
        {
            files.Finish([]);
            set.CheckFinite(path);
        }
        catch
        {
            set.Dispose();
            throw;
        }
        return set;
    }

    // Training that diverged writes values that are not numbers; they would break a model.
    private void CheckFinite(string path)
    {
        using var frozen = no_grad();
        using var scope = NewDisposeScope();
        foreach (var (name, weight) in kept.Select(item => (item.Name, item.Weight))
            .Concat(chosen.Select(item => (item.Name, item.Weight))))
            if (!weight.Value.isfinite().all().item<bool>())
                throw new InputException($"{path}: {name} holds numbers that are not finite. The training that wrote it diverged: use an "
                    + "earlier checkpoint, or train again with a lower rate.");
    }

    private static DeltaSet Attach(LanguageModel model, AdapterConfiguration configuration, Func<DeltaSet, DeltaParts> parts)
    {
        ArgumentNullException.ThrowIfNull(model);
        ArgumentNullException.ThrowIfNull(configuration);
        var method = DeltaMethods.Of(configuration);
        configuration.Understands(method.Keys);
        var set = new DeltaSet(model, configuration);
        try
        {
            var given = parts(set);
            method.Attach(given);
            OwnWeights.Attach(given);
            if (set.plugged.Count + set.tokens.Count + set.chosen.Count + set.attended.Count == 0 && set.prompt is null)
                throw new InputException($"targetModules [{string.Join(", ", configuration.TargetModules)}] match none of the model's "
                    + $"projections, such as {string.Join(", ", model.Projections.Take(7).Select(p => p.Name))}.");
        }
        catch
        {
            set.Dispose();
            throw;
        }
        return set;
    }
}
