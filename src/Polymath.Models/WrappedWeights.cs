using System.Text.RegularExpressions;
using Polymath.Tensors.Files;

namespace Polymath.Models;

/// <summary>The weights of a text model within a multimodal one, and those of its other parts.</summary>
public sealed partial class FileWeights
{
    private const string Before = "language_model.", Within = "model.language_model.";

    // The parts of multimodal models that a text model does not need, and heads that predict several tokens.
    private const string OtherParts = @"(model\.)?(vision_tower|vision_model|visual|multi_modal_projector|audio_tower|embed_vision|"
        + @"embed_audio)\..*";

    // Heads of published files that predict several tokens at once; transformers does not read them either.
    private const string FurtherHeads = @"(model\.)?mtp\..*";

    /// <summary>
    /// Whether the files hold a text model inside a multimodal one: names may begin with <c>language_model.</c>, and the weights of other
    /// parts stay unused.
    /// </summary>
    public bool IsWrapped { get; init; }

    /// <summary>Whether the weights of other parts are written with the text model again.</summary>
    internal bool IsCarried { get; init; }

    /// <summary>The weights of the other parts, as the files hold them; those that are codes are decoded.</summary>
    internal IReadOnlyList<PendingTensor> Others
    {
        get
        {
            var parts = (coded?.Weights.Values ?? []).SelectMany(weight => weight.Parts).ToHashSet(StringComparer.Ordinal);
            return
            [
                .. places.Keys.Where(name => IsOther(name) && !parts.Contains(name)).Concat(
                    (coded?.Weights.Keys ?? []).Where(name => IsOther(name) && !places.ContainsKey(name)))
                    .Select(name => new PendingTensor(name[wrapper.Length..], TypeOf(name), ShapeAt(name), () => Numbers(name))),
            ];
        }
    }

    private TorchSharp.torch.ScalarType TypeOf(string name)
    {
        if (coded?.Weights.ContainsKey(name) is not true) return places[name].Entries[name].Type;
        using var numbers = Numbers(name);
        return numbers.dtype;
    }

    /// <summary>The name that the files have for a weight of the text model, or would have.</summary>
    /// <param name="name">The text model's own name.</param>
    internal string NameInFile(string name)
    {
        if (Spellings(name).FirstOrDefault(Stored) is { } found) return found[wrapper.Length..];
        var bare = name.StartsWith(prefix, StringComparison.Ordinal) ? name[prefix.Length..] : null;
        if (bare is not null && places.Keys.Any(key => key[wrapper.Length..].StartsWith(Within, StringComparison.Ordinal)))
            return Within + bare;
        return places.Keys.Any(key => key[wrapper.Length..].StartsWith(Before, StringComparison.Ordinal)) ? Before + name : name;
    }

    /// <summary>Whether the files hold a stack of experts, whose parts are weights of the text model.</summary>
    /// <param name="stack">The stack's name.</param>
    internal bool HasStack(string stack) => Spellings(stack).Any(Stored);

    // The text model's own name.
    private string Own(string name)
    {
        if (name.StartsWith(Within, StringComparison.Ordinal)) return prefix + name[Within.Length..];
        return name.StartsWith(Before, StringComparison.Ordinal) ? name[Before.Length..] : name;
    }

    private bool IsOther(string name) => Regex.IsMatch(name[wrapper.Length..], $"^(?:{OtherParts})$");

    private bool Aside(string name) => Regex.IsMatch(name, $"^(?:{FurtherHeads}{(IsWrapped ? $"|{OtherParts}" : "")})$");

    private void SetAside()
    {
        var count = places.Keys.Count(name => !used.Contains(name) && Aside(name));
        var end = IsCarried ? "A folder that is written has them again, unchanged." : "What is saved is the text model alone.";
        notes = [.. notes, $"{origin} is a multimodal model; its text model is read, and {count} weights of its other parts are left "
            + $"aside. {end}"];
    }
}
