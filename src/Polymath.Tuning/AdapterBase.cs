using Polymath.Models;
using Polymath.Recipes;
using Polymath.Tensors.Files;

namespace Polymath.Tuning;

/// <summary>
/// The models that an adapter fits: the one it was trained on, and that model before quantization. They are stored in the metadata of the
/// adapter's file, which PEFT does not read, so that PEFT's configuration has only PEFT's keys.
/// </summary>
/// <param name="Models">The signatures.</param>
public sealed record AdapterBase(IReadOnlyList<ModelSignature> Models)
{
    /// <summary>The key of the metadata.</summary>
    public const string Key = "polymath_base";

    private const int Shown = 12;

    /// <summary>The models that an adapter trained on a model fits.</summary>
    /// <param name="model">The model as it is.</param>
    /// <param name="found">The model as it was before the adapter was attached, if that was different.</param>
    public static AdapterBase Of(LanguageModel model, ModelSignature? found = null)
    {
        ArgumentNullException.ThrowIfNull(model);
        var all = new[] { model.Unrounded, found, ModelSignature.Of(model) };
        return new AdapterBase([.. all.OfType<ModelSignature>().Distinct()]);
    }

    /// <summary>Metadata for the adapter's file.</summary>
    public IReadOnlyDictionary<string, string> Metadata =>
        new Dictionary<string, string> { ["format"] = "pt", [Key] = string.Join(' ', Models) };

    /// <summary>Reads the models from an adapter's file.</summary>
    /// <param name="folder">The adapter's folder.</param>
    /// <returns>The models, or null when the file has none, like PEFT's files.</returns>
    /// <exception cref="InputException">The metadata cannot be read.</exception>
    public static AdapterBase? Read(string folder)
    {
        var file = DeltaSet.AdapterFile(folder);
        using var weights = WeightFile.OpenAny(file);
        if (weights is not SafetensorsFile { Metadata: var metadata } || !metadata.TryGetValue(Key, out var text)) return null;
        var models = text.Split(' ').Select(ModelSignature.Parse).ToList();
        return models.Contains(null)
            ? throw new InputException($"{file}: its metadata {Key} is not a list of models' digests. The file is damaged: fetch or save "
                + "it again, or add --any-base to continue without this check.")
            : new AdapterBase([.. models.OfType<ModelSignature>()]);
    }

    /// <summary>Refuses a model that is not one of these.</summary>
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
        var alike = given[0].Shapes == Models[0].Shapes ? "the same shapes but other values" : "other weights or other shapes";
        throw new InputException($"{folder} was made for another model: it expects {Text(Models)}{name} and was given {Text(given)}, a "
            + $"model of {alike}. Name the model that it was made for; or, where you know that it fits, add --any-base.");
    }

    /// <summary>The digests' beginnings.</summary>
    public override string ToString() => Text(Models);

    private static string Text(IReadOnlyList<ModelSignature> models) =>
        string.Join(" or ", models.Select(model => model.Bfloat16[..Shown]));
}
