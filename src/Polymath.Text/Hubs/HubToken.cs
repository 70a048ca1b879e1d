using Polymath.Recipes;

namespace Polymath.Text.Hubs;

/// <summary>A secret token for repositories that are not public. It is never shown: its text form is only a placeholder.</summary>
public sealed class HubToken
{
    private readonly string secret;

    private HubToken(string secret) => this.secret = secret;

    /// <summary>Reads a token; null when there is none.</summary>
    /// <param name="text">The text that holds it, with or without white space around it.</param>
    /// <param name="origin">The name of its place in messages.</param>
    /// <exception cref="InputException">The text cannot be sent as a token.</exception>
    public static HubToken? Of(string? text, string origin)
    {
        var secret = text?.Trim();
        if (string.IsNullOrEmpty(secret)) return null;
        return secret.All(character => character is > ' ' and < (char)127 and not ';' and not ',')
            ? new HubToken(secret)
            : throw new InputException($"{origin} holds characters that no token has. Copy the token again.");
    }

    /// <summary>The secret, only for the request header.</summary>
    internal string Reveal() => secret;

    /// <inheritdoc/>
    public override string ToString() => "(a token)";
}
