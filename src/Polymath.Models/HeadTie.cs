using System.Text.Json.Nodes;
using static TorchSharp.torch;

namespace Polymath.Models;

/// <summary>Unties an output head from the token vectors while one of the two is trained separately.</summary>
/// <param name="model">The model.</param>
/// <param name="parts">Its weights.</param>
internal sealed class HeadTie(LanguageModel model, ModelParts parts)
{
    private const string Key = "tie_word_embeddings";

    // How many callers need an untied head, and the configuration's value before the first of them.
    private int apart;
    private JsonNode? said;

    /// <summary>Gives the head its own weight when it is tied to the token vectors. A head over labels does not change.</summary>
    public void Untie()
    {
        if (model.Labels is not null || (apart == 0 && !model.Tokens.IsTied)) return;
        if (apart++ > 0) return;
        using var frozen = no_grad();
        var own = new Weight(model.Tokens.HeadMap.Name + ".weight", model.Tokens.Embedding.Value.detach().clone());
        parts.Take(own);
        model.Tokens.UseAsHead(own);
        said = model.Configuration[Key]?.DeepClone();
        model.Configuration[Key] = false;
    }

    /// <summary>Undoes one <see cref="Untie"/>; after the last one, the head is tied to the token vectors again.</summary>
    public void Tie()
    {
        if (apart == 0 || --apart > 0) return;
        parts.Release(model.Tokens.Head);
        model.Tokens.UseAsHead(model.Tokens.Embedding);
        if (said is null) model.Configuration.Remove(Key);
        else model.Configuration[Key] = said.DeepClone();
    }
}
