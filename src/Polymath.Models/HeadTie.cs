using System.Text.Json.Nodes;
using static TorchSharp.torch;

namespace Polymath.Models;

/// <summary>Takes an output head apart from the token vectors that it shares, as long as one of the two is trained by itself.</summary>
/// <param name="model">The model.</param>
/// <param name="parts">Its weights.</param>
internal sealed class HeadTie(LanguageModel model, ModelParts parts)
{
    private const string Key = "tie_word_embeddings";

    // How many ask for a head of its own, and what the configuration said before the first of them.
    private int apart;
    private JsonNode? said;

    /// <summary>Gives the head numbers of its own where it shares the token vectors'. A head over labels stays as it is.</summary>
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

    /// <summary>Takes one <see cref="Untie"/> back; with the last of them the head shares the token vectors' numbers again.</summary>
    public void Tie()
    {
        if (apart == 0 || --apart > 0) return;
        parts.Release(model.Tokens.Head);
        model.Tokens.UseAsHead(model.Tokens.Embedding);
        if (said is null) model.Configuration.Remove(Key);
        else model.Configuration[Key] = said.DeepClone();
    }
}
