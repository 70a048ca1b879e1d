using Polymath.Models;
using Polymath.Recipes;
using Polymath.Tensors.Files;

namespace Polymath.Tuning;

/// <summary>
/// The models that an adapter was made for: the one it was trained on, and what that one was before it was rounded to few bits. They stand
/// in the metadata of the adapter's file, where PEFT does not look, so that PEFT's configuration has PEFT's keys alone.
/// </summary>
/// <param name="Models">The signatures.</param>
public sealed record AdapterBase(IReadOnlyList<ModelSignature> Models)
{
    /// <summary>The key of the metadata.</summary>
    public const string Key = "polymath_base";

    private const int Shown = 12;

    /// <summary>The models that an adapter on a model may go on.</summary>
    /// <param name="model">The model as it is.</param>
    /// <param name="found">The model as it was when the adapter was attached, where that is another.</param>
    public static AdapterBase Of(LanguageModel model, ModelSignature? found = null)
    {
        ArgumentNullException.ThrowIfNull(model);
        var all = new[] { model.Unrounded, found, ModelSignature.Of(model) };
        return new AdapterBase([.. all.OfType<ModelSignature>().Distinct()]);
    }

    /// <summary>Metadata for the adapter's file.</summary>
    public IReadOnlyDictionary<string, string> Metadata =>
        new Dictionary<string, string> { ["format"] = "pt", [Key] = string.Join(' ', Models) };

    /// <summary>What an adapter's file says.</summary>
    /// <param name="folder">The adapter's folder.</param>
    /// <returns>The models, or null where it says nothing, as PEFT's files do.</returns>
    /// <exception cref="InputException">What it says cannot be read.</exception>
    public static AdapterBase? Read(string folder)
    {
        var file = DeltaSet.AdapterFile(folder);
        using var weights = WeightFile.OpenAny(file);
        if (weights is not SafetensorsFile { Metadata: var metadata } || !metadata.TryGetValue(Key, out var text)) return null;
        var models = text.Split(' ').Select(ModelSignature.Parse).ToList();
        return models.Contains(null)
            ? throw new InputException($"{file}: its metadata {Key} is no list of models' digests. The file is damaged: fetch or save it "
                + "again, or add --any-base to go on without knowing what it was made for.")
            : new AdapterBase([.. models.OfType<ModelSignature>()]);
    }

    /// <summary>Refuses a model that is none of these.</summary>
    /// <param name="model">The model.</param>
    /// <param name="folder">The adapter's folder, for the message.</param>
    /// <param name="configuration">The adapter's settings, which may name its base.</param>
    /// <exception cref="InputException">It is another model.</exception>
    public void Check(LanguageModel model, string folder, AdapterConfiguration configuration)
    {
        ArgumentNullException.ThrowIfNull(model);
        ArgumentNullException.ThrowIfNull(configuration);
        var given = Of(model).Models;
        if (given.Any(own => Models.Any(own.Fits))) return;
        var name = configuration.Text("base_model_name_or_path") is { Length: > 0 } named ? $" ({named})" : "";
        var alike = given[0].Shapes == Models[0].Shapes ? "the same shapes and other numbers" : "other weights or other shapes";
        throw new InputException($"{folder} was made for another model: it expects {Text(Models)}{name} and was given {Text(given)}, a "
            + $"model of {alike}. Name the model that it was made for; or, where you know that it fits, add --any-base.");
    }

    /// <summary>The digests' beginnings.</summary>
    public override string ToString() => Text(Models);

    private static string Text(IReadOnlyList<ModelSignature> models) =>
        string.Join(" or ", models.Select(model => model.Bfloat16[..Shown]));
}
