using Polymath.Models;
using Polymath.Models.Decoding;

namespace Polymath.Cli;

/// <summary>Reports that an answer ended because the model's context was full; otherwise this looks like a normal end.</summary>
static class ContextEnd
{
    internal static void Tell(TextModel model, int prompt, GeneratedTokens answer, SamplingSettings settings)
    {
        var room = model.Model.RoomFor(prompt);
        if (answer.Finish == "length" && answer.Tokens.Length >= room && room < settings.MaxNewTokens)
            Console.Error.WriteLine("\npolymath: the answer stops here because the model's context of "
                + $"{model.Model.Sizes.ContextLength:N0} tokens is full. A shorter prompt leaves more room.");
    }
}
